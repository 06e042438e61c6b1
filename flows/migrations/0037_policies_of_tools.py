from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0036_when_the_first_text_came"),
    ]

    operations = [
        migrations.AddField(
            model_name="toolentry",
            name="policy",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
    ]
