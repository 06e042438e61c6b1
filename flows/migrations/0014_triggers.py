"""What starts a flow by itself: schedules, webhooks, and each time that one fired."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import flows.models.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0013_price_book"),
    ]

    operations = [
        migrations.CreateModel(
            name="Trigger",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("kind", models.CharField(max_length=16)),
                ("name", models.CharField(max_length=160)),
                ("settings", models.JSONField(default=dict)),
                ("paused_at", models.DateTimeField(null=True)),
                ("next_fire_at", models.DateTimeField(null=True)),
                ("salt", models.CharField(blank=True, max_length=64)),
                ("former_salt", models.CharField(blank=True, max_length=64)),
                ("rotated_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("changed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "created_by",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL),
                ),
                (
                    "flow",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="triggers", to="flows.flow"),
                ),
                (
                    "owner",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL),
                ),
                (
                    "paused_by",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Firing",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("mark", models.CharField(max_length=200, null=True)),
                ("due_at", models.DateTimeField(null=True)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("outcome", models.CharField(max_length=16)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("body", models.TextField(blank=True)),
                ("digest", models.CharField(blank=True, max_length=64)),
                (
                    "replay_of",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="flows.firing"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="flows.run"),
                ),
                (
                    "trigger",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="firings", to="flows.trigger"),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="trigger",
            index=models.Index(condition=models.Q(("next_fire_at__isnull", False)), fields=["next_fire_at"], name="trigger_due"),
        ),
        migrations.AddIndex(
            model_name="trigger",
            index=models.Index(fields=["flow", "id"], name="trigger_by_flow"),
        ),
        migrations.AddConstraint(
            model_name="trigger",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["schedule", "webhook"])), name="trigger_kind_known"
            ),
        ),
        migrations.AddIndex(
            model_name="firing",
            index=models.Index(fields=["trigger", "-id"], name="firing_by_trigger"),
        ),
        migrations.AddIndex(
            model_name="firing",
            index=models.Index(condition=models.Q(("outcome", "queued")), fields=["trigger", "id"], name="firing_queued"),
        ),
        migrations.AddIndex(
            model_name="firing",
            index=models.Index(condition=models.Q(("run__isnull", False)), fields=["run"], name="firing_by_run"),
        ),
        migrations.AddConstraint(
            model_name="firing",
            constraint=models.UniqueConstraint(fields=("trigger", "mark"), name="firing_once"),
        ),
    ]
