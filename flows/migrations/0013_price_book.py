"""Prices with an end, tiers and a source; corrections; what providers report. Rows of both are never altered."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import flows.models.identifiers

WALL = """
CREATE TRIGGER price_immutable BEFORE UPDATE OR DELETE ON flows_price FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
CREATE TRIGGER adjustment_immutable BEFORE UPDATE OR DELETE ON flows_adjustment FOR EACH ROW EXECUTE FUNCTION flows_refuse_change();
"""
DOWN = "DROP TRIGGER price_immutable ON flows_price; DROP TRIGGER adjustment_immutable ON flows_adjustment;"


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0012_a_run_saves_nothing_by_default"),
    ]

    operations = [
        migrations.CreateModel(
            name="Adjustment",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("call_id", models.UUIDField()),
                ("run_id", models.UUIDField()),
                ("amount", models.DecimalField(decimal_places=12, max_digits=24)),
                ("priced", models.BooleanField()),
                ("reason", models.CharField(max_length=300)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.AddField(
            model_name="call",
            name="cache_write_tokens",
            field=models.IntegerField(null=True),
        ),
        migrations.AddField(
            model_name="call",
            name="reported",
            field=models.DecimalField(decimal_places=12, max_digits=24, null=True),
        ),
        migrations.AddField(
            model_name="modelentry",
            name="unpriced",
            field=models.CharField(db_default="refuse", default="refuse", max_length=8),
        ),
        migrations.AddField(
            model_name="price",
            name="above",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="price",
            name="cache_write",
            field=models.DecimalField(decimal_places=9, max_digits=18, null=True),
        ),
        migrations.AddField(
            model_name="price",
            name="entered_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AddField(
            model_name="price",
            name="entered_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="price",
            name="reasoning",
            field=models.DecimalField(decimal_places=9, max_digits=18, null=True),
        ),
        migrations.AddField(
            model_name="price",
            name="source",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="price",
            name="valid_to",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="call",
            index=models.Index(
                condition=models.Q(models.Q(("status", "started"), _negated=True), ("kind", "model"), ("settled__isnull", True)),
                fields=["target", "started_at"],
                name="call_unpriced",
            ),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("cached_input__isnull", True), ("cached_input__gte", 0), _connector="OR"),
                    models.Q(("cache_write__isnull", True), ("cache_write__gte", 0), _connector="OR"),
                    models.Q(("reasoning__isnull", True), ("reasoning__gte", 0), _connector="OR"),
                ),
                name="price_parts_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.CheckConstraint(
                condition=models.Q(("valid_to__isnull", True), ("valid_to__gt", models.F("valid_from")), _connector="OR"),
                name="price_ends_later",
            ),
        ),
        migrations.AddConstraint(
            model_name="price",
            constraint=models.UniqueConstraint(fields=("model", "above", "valid_from"), name="price_begins_once"),
        ),
        migrations.AddField(
            model_name="adjustment",
            name="by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="adjustment",
            name="price",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.price"),
        ),
        migrations.AddIndex(
            model_name="adjustment",
            index=models.Index(fields=["run_id"], name="adjustment_by_run"),
        ),
        migrations.AddConstraint(
            model_name="adjustment",
            constraint=models.UniqueConstraint(fields=("call_id", "price"), name="adjustment_once_a_price"),
        ),
        migrations.RunSQL(WALL, DOWN),
    ]
