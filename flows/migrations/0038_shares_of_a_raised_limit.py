from django.db import migrations, models

BY_BOUNDS = """
UPDATE flows_budgetperiod s SET told = jsonb_build_object(concat_ws('/', coalesce(trim_scale(b.cost)::text, '-'),
    coalesce(b.tokens::text, '-'), coalesce(b.calls::text, '-')), s.noted) FROM flows_budget b WHERE b.id = s.budget_id AND s.noted > 0
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0037_policies_of_tools"),
    ]

    operations = [
        migrations.AddField(
            model_name="budgetperiod",
            name="told",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.RunSQL(BY_BOUNDS, migrations.RunSQL.noop),
        migrations.RemoveField(model_name="budgetperiod", name="noted"),
    ]
