"""Calls that were answered as an equal one was before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("flows", "0014_triggers")]
    operations = [
        migrations.AddField("call", "cached", models.BooleanField(db_default=False, default=False)),
        migrations.AddIndex(
            "call",
            models.Index(
                condition=models.Q(("kind", "model"), models.Q(("request_hash", ""), _negated=True)),
                fields=["request_hash"],
                name="call_reusable",
            ),
        ),
    ]
