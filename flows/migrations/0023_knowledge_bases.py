"""Knowledge bases; passages get a column of vectors where the server has pgvector."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import flows.models.identifiers

# A server without pgvector, or an account that may not create it, is searched by words alone.
VECTORS = """
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector') THEN
        BEGIN
            CREATE EXTENSION IF NOT EXISTS vector;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'pgvector is there, but this account may not create it: passages are found by words alone.';
        END;
    END IF;
    IF to_regtype('vector') IS NOT NULL THEN
        ALTER TABLE flows_passage ADD COLUMN vector vector(256);
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("flows", "0022_models_and_routes_are_edited"),
    ]

    operations = [
        migrations.CreateModel(
            name="KnowledgeBase",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("slug", models.SlugField(max_length=64, unique=True)),
                ("name", models.CharField(max_length=120)),
                ("language", models.CharField(default="english", max_length=32)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="flows.team"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="KnowledgeDocument",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("source", models.CharField(max_length=300)),
                ("media_type", models.CharField(max_length=80)),
                ("text", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                ("facts", models.JSONField(default=dict)),
                ("state", models.CharField(default="waiting", max_length=8)),
                ("error", models.CharField(blank=True, max_length=300)),
                ("passage_count", models.PositiveIntegerField(default=0)),
                ("indexed_at", models.DateTimeField(null=True)),
                ("taken_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "base",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="documents", to="flows.knowledgebase"
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Passage",
            fields=[
                (
                    "id",
                    models.UUIDField(default=flows.models.identifiers.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("n", models.PositiveIntegerField()),
                ("begins", models.PositiveIntegerField()),
                ("ends", models.PositiveIntegerField()),
                ("text", models.TextField()),
                ("words", django.contrib.postgres.search.SearchVectorField(null=True)),
                (
                    "base",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="flows.knowledgebase"
                    ),
                ),
                (
                    "document",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="passages",
                        to="flows.knowledgedocument",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="knowledgedocument",
            index=models.Index(condition=models.Q(("state", "waiting")), fields=["created_at"], name="document_waiting"),
        ),
        migrations.AddConstraint(
            model_name="knowledgedocument",
            constraint=models.UniqueConstraint(fields=("base", "source"), name="document_once"),
        ),
        migrations.AddIndex(
            model_name="passage",
            index=django.contrib.postgres.indexes.GinIndex(fields=["words"], name="passage_words"),
        ),
        migrations.AddIndex(
            model_name="passage",
            index=models.Index(fields=["base"], name="passage_of_base"),
        ),
        migrations.AddConstraint(
            model_name="passage",
            constraint=models.UniqueConstraint(fields=("document", "n"), name="passage_once"),
        ),
        migrations.RunSQL(VECTORS, migrations.RunSQL.noop),
    ]
