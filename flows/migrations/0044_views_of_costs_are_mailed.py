"""A pinned view of costs may be mailed to its person after each day, week or month."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0043_runs_of_a_flow_are_told_by_their_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="pinnedview",
            name="every",
            field=models.CharField(blank=True, db_default="", default="", max_length=5),
        ),
        migrations.AddField(
            model_name="pinnedview",
            name="next_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="pinnedview",
            name="zone",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddIndex(
            model_name="pinnedview",
            index=models.Index(condition=models.Q(("next_at__isnull", False)), fields=["next_at"], name="pinned_view_due"),
        ),
    ]
