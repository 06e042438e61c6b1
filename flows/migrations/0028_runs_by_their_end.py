from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0027_secrets"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["ended_at"], name="run_by_end", condition=models.Q(("ended_at__isnull", False))),
        ),
    ]
