from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0035_connections_and_secrets_of_servers"),
    ]

    operations = [
        migrations.AddField(
            model_name="call",
            name="first_text",
            field=models.FloatField(null=True),
        ),
    ]
