from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0041_sums_by_run_step_and_tag"),
    ]

    operations = [
        migrations.CreateModel(
            name="Installation",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("name", models.CharField(default="Orchestrator", max_length=60)),
                ("zone", models.CharField(default="UTC", max_length=64)),
                ("currency", models.CharField(default="$", max_length=4)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(("id", 1)), name="installation_is_one")],
            },
        ),
    ]
