"""When a model that fails is left alone."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("flows", "0010_versions_of_routes")]
    operations = [migrations.AddField("modelentry", "breaker", models.JSONField(default=dict))]
