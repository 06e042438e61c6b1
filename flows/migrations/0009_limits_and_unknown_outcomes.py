"""What a run does at its limit, and what is known of a tool whose call was lost."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("flows", "0008_checkpoints")]
    operations = [
        migrations.AddField("run", "saving", models.BooleanField(default=False)),
        migrations.AddField("toolentry", "known_for", models.FloatField(null=True)),
        migrations.AddField("toolentry", "result", models.JSONField(default=dict)),
    ]
