"""What was removed from the catalogue stays for what names it; a model says how often it was changed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0021_what_models_are_told_of_tools"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelentry",
            name="removed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="modelentry",
            name="revision",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="route",
            name="removed_at",
            field=models.DateTimeField(null=True),
        ),
    ]
