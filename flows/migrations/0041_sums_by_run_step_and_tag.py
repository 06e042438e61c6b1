"""Days are summed by run, step and tag, too. The sums only repeat the ledger, so those that are there are made anew."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0040_the_demonstration"),
    ]

    operations = [
        migrations.AlterField(
            model_name="daysum",
            name="zone",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="flows.summedzone"
            ),
        ),
        migrations.CreateModel(
            name="RunSum",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("run_purpose", models.CharField(max_length=8)),
                ("simulated", models.BooleanField()),
                ("settled", models.DecimalField(decimal_places=12, max_digits=24)),
                ("wasted", models.DecimalField(decimal_places=12, max_digits=24)),
                ("saved", models.DecimalField(decimal_places=18, max_digits=30)),
                ("calls", models.BigIntegerField()),
                ("unpriced", models.BigIntegerField()),
                ("estimated", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                (
                    "flow",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.flow"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flows.run",
                    ),
                ),
                (
                    "zone",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="flows.summedzone"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["zone", "run"], name="runsum_of_zone")],
            },
        ),
        migrations.CreateModel(
            name="StepSum",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("run_purpose", models.CharField(max_length=8)),
                ("simulated", models.BooleanField()),
                ("settled", models.DecimalField(decimal_places=12, max_digits=24)),
                ("wasted", models.DecimalField(decimal_places=12, max_digits=24)),
                ("saved", models.DecimalField(decimal_places=18, max_digits=30)),
                ("calls", models.BigIntegerField()),
                ("unpriced", models.BigIntegerField()),
                ("estimated", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("path", models.CharField(max_length=400)),
                (
                    "flow",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.flow"
                    ),
                ),
                (
                    "zone",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="flows.summedzone"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["zone", "day"], name="stepsum_of_zone")],
            },
        ),
        migrations.CreateModel(
            name="TagSum",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("run_purpose", models.CharField(max_length=8)),
                ("simulated", models.BooleanField()),
                ("settled", models.DecimalField(decimal_places=12, max_digits=24)),
                ("wasted", models.DecimalField(decimal_places=12, max_digits=24)),
                ("saved", models.DecimalField(decimal_places=18, max_digits=30)),
                ("calls", models.BigIntegerField()),
                ("unpriced", models.BigIntegerField()),
                ("estimated", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("tags", models.JSONField()),
                ("kind", models.CharField(max_length=8)),
                ("target", models.CharField(max_length=160)),
                (
                    "flow",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.flow"
                    ),
                ),
                (
                    "zone",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="flows.summedzone"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["zone", "day"], name="tagsum_of_zone")],
            },
        ),
        migrations.RunSQL(
            "TRUNCATE flows_daysum, flows_unsummedcall, flows_summedzone CASCADE",
            reverse_sql=migrations.RunSQL.noop,
            elidable=True,
        ),
    ]
