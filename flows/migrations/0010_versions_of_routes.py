"""Routes with strategies, conditions and versions; calls name the version of the route by which they were chosen."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FIRST = """
INSERT INTO flows_routeversion (route_id, number, definition, by)
SELECT slug, 1, jsonb_build_object('candidates', candidates, 'fall_back_on', fall_back_on, 'timeout', timeout, 'strategy', strategy,
    'needs', needs), ''
FROM flows_route
"""


class Migration(migrations.Migration):
    dependencies = [("flows", "0009_limits_and_unknown_outcomes")]
    operations = [
        migrations.AddField("route", "strategy", models.CharField(default="ordered", max_length=10)),
        migrations.AddField("route", "needs", models.JSONField(default=list)),
        migrations.AddField("route", "version", models.PositiveIntegerField(default=1)),
        migrations.CreateModel(
            name="RouteVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("definition", models.JSONField()),
                ("by", models.CharField(blank=True, max_length=150)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "route",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="versions", to="flows.route"),
                ),
            ],
        ),
        migrations.AddConstraint("routeversion", models.UniqueConstraint(fields=("route", "number"), name="route_version_once")),
        migrations.RunSQL(FIRST, migrations.RunSQL.noop),
        migrations.AddField("call", "route", models.CharField(blank=True, db_default="", default="", max_length=80)),
        migrations.AddField("call", "route_version", models.IntegerField(null=True)),
        migrations.AddIndex(
            "call", models.Index(condition=models.Q(kind="model"), fields=["target", "-id"], name="call_of_model")
        ),
    ]
