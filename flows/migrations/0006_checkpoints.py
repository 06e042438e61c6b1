from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0005_queues_limits_and_the_kill_switch"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="checkpoint",
            field=models.TextField(null=True),
        ),
    ]
