from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0007_counts_of_hot_rows_without_checks"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="checkpoint",
            field=models.TextField(null=True),
        ),
    ]
