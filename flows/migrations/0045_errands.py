"""Errands: long work that a person asked for, and the files that it writes."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import flows.models.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0044_views_of_costs_are_mailed"),
    ]

    operations = [
        migrations.CreateModel(
            name="Errand",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("kind", models.CharField(max_length=24)),
                ("key", models.CharField(max_length=80)),
                ("title", models.CharField(max_length=160)),
                ("subject", models.CharField(blank=True, max_length=80)),
                ("about", models.JSONField(default=dict)),
                ("wanted", models.PositiveIntegerField()),
                ("done", models.PositiveIntegerField(default=0)),
                ("refused", models.PositiveIntegerField(default=0)),
                ("left", models.JSONField(default=list)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("begun_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("moved_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "by",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ErrandPiece",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("n", models.PositiveIntegerField()),
                ("content", models.BinaryField()),
                (
                    "errand",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="pieces", to="flows.errand"),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="errand",
            index=models.Index(fields=["by", "-begun_at"], name="errand_of_person"),
        ),
        migrations.AddIndex(
            model_name="errand",
            index=models.Index(condition=models.Q(("ended_at__isnull", True)), fields=["moved_at"], name="errand_open"),
        ),
        migrations.AddConstraint(
            model_name="errand",
            constraint=models.UniqueConstraint(fields=("by", "key"), name="errand_once"),
        ),
        migrations.AddConstraint(
            model_name="errandpiece",
            constraint=models.UniqueConstraint(fields=("errand", "n"), name="errand_piece_once"),
        ),
    ]
