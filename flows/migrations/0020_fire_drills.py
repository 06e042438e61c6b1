"""Fire drills: faults rehearsed on a flow, one run each."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import flows.models.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0019_invitations_sign_ins_and_where_changes_came_from"),
    ]

    operations = [
        migrations.CreateModel(
            name="Drill",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("runs", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "by",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                ("flow", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="drills", to="flows.flow")),
                (
                    "version",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.flowversion"),
                ),
            ],
            options={
                "indexes": [
                    models.Index(models.F("flow"), models.OrderBy(models.F("id"), descending=True), name="drill_by_flow"),
                    models.Index(condition=models.Q(("ended_at__isnull", True)), fields=["id"], name="drill_under_way"),
                ],
            },
        ),
    ]
