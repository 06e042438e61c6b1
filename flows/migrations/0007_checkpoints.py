from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0006_signs_of_life"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="checkpoint",
            field=models.TextField(null=True),
        ),
    ]
