"""Budgets of single runs and their steps, on steps and time too, and since when something is held."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("flows", "0030_what_runs_leave_for_later_ones")]

    operations = [
        migrations.RemoveConstraint(
            model_name="budget",
            name="budget_limits_something",
        ),
        migrations.RemoveConstraint(
            model_name="budgetperiod",
            name="budget_period_once",
        ),
        migrations.AddField(
            model_name="budget",
            name="duration",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="budget",
            name="steps",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="budgethold",
            name="at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AddField(
            model_name="budgetperiod",
            name="path",
            field=models.CharField(blank=True, db_default="", default="", max_length=400),
        ),
        migrations.AddField(
            model_name="budgetperiod",
            name="run_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name="budget",
            name="period",
            field=models.CharField(
                choices=[("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month"), ("run", "run")], max_length=8
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="scope",
            field=models.CharField(
                choices=[
                    ("all", "all"),
                    ("flow", "flow"),
                    ("team", "team"),
                    ("person", "person"),
                    ("key", "key"),
                    ("tag", "tag"),
                    ("model", "model"),
                    ("run", "run"),
                    ("step", "step"),
                ],
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cost__isnull", False),
                    ("tokens__isnull", False),
                    ("calls__isnull", False),
                    ("steps__isnull", False),
                    ("duration__isnull", False),
                    _connector="OR",
                ),
                name="budget_limits_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="budgetperiod",
            constraint=models.UniqueConstraint(
                fields=("budget", "begins", "run_id", "path"), name="budget_period_once", nulls_distinct=False
            ),
        ),
    ]
