"""Budgets of periods, what they have used, and what is held in them for calls."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import flows.models.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0017_tests_of_drafts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("all", "all"),
                            ("flow", "flow"),
                            ("team", "team"),
                            ("person", "person"),
                            ("key", "key"),
                            ("tag", "tag"),
                            ("model", "model"),
                        ],
                        max_length=8,
                    ),
                ),
                ("subject", models.CharField(blank=True, max_length=120)),
                (
                    "period",
                    models.CharField(
                        choices=[("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month")], max_length=8
                    ),
                ),
                ("zone", models.CharField(default="UTC", max_length=64)),
                ("cost", models.DecimalField(decimal_places=12, max_digits=24, null=True)),
                ("tokens", models.BigIntegerField(null=True)),
                ("calls", models.BigIntegerField(null=True)),
                ("at_limit", models.CharField(default="stop", max_length=8)),
                ("warn", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "owner",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BudgetPeriod",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("begins", models.DateTimeField()),
                ("ends", models.DateTimeField()),
                ("reserved", models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=24)),
                ("spent", models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=24)),
                ("reserved_tokens", models.BigIntegerField(db_default=0, default=0)),
                ("spent_tokens", models.BigIntegerField(db_default=0, default=0)),
                ("reserved_calls", models.BigIntegerField(db_default=0, default=0)),
                ("spent_calls", models.BigIntegerField(db_default=0, default=0)),
                ("unpriced", models.BigIntegerField(db_default=0, default=0)),
                ("noted", models.SmallIntegerField(db_default=0, default=0)),
                (
                    "budget",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="periods", to="flows.budget"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BudgetHold",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("call_id", models.UUIDField()),
                ("run_id", models.UUIDField()),
                ("epoch", models.IntegerField()),
                ("reserved", models.DecimalField(decimal_places=12, max_digits=24)),
                ("tokens", models.IntegerField()),
                (
                    "period",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="holds", to="flows.budgetperiod"),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(fields=("scope", "subject", "period"), name="budget_once"),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("cost__isnull", False), ("tokens__isnull", False), ("calls__isnull", False), _connector="OR"),
                name="budget_limits_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetperiod",
            constraint=models.UniqueConstraint(fields=("budget", "begins"), name="budget_period_once"),
        ),
        migrations.AddConstraint(
            model_name="budgetperiod",
            constraint=models.CheckConstraint(
                condition=models.Q(("reserved__gte", 0), ("reserved_calls__gte", 0), ("reserved_tokens__gte", 0)),
                name="budget_reserved_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="budgethold",
            constraint=models.UniqueConstraint(fields=("call_id", "period"), name="budget_hold_once"),
        ),
    ]
