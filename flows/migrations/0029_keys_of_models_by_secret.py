from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0028_runs_by_their_end"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelentry",
            name="api_key_secret",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AddField(
            model_name="secret",
            name="models",
            field=models.JSONField(db_default=[], default=list),
        ),
    ]
