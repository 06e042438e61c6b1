"""Knowledge bases: documents, and the passages that a search finds."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person, Team
from flows.models.identifiers import new_id, shown


class KnowledgeBase(models.Model):
    """Documents that flows search together. It belongs to one team, whose flows alone may search it, or to everybody."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="+")
    language = models.CharField(max_length=32, default="english")  # a text search configuration of PostgreSQL
    embedding = models.CharField(max_length=80, blank=True, default="", db_default="")  # the model of its vectors, if one
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())


class KnowledgeDocument(models.Model):
    """One text of a knowledge base, whole. Its row is also the job of indexing it: `waiting` until its passages stand."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="documents")
    source = models.CharField(max_length=300)  # the file's name or an address: what an answer cites; one document each
    media_type = models.CharField(max_length=80)
    text = models.TextField()
    digest = models.CharField(max_length=64)  # SHA-256 of the text
    facts = models.JSONField(default=dict)  # what `filter` asks for: {"product": "b", "year": 2026}
    state = models.CharField(max_length=8, default="waiting")  # waiting | ready | failed
    error = models.CharField(max_length=300, blank=True)
    passage_count = models.PositiveIntegerField(default=0)
    indexed_at = models.DateTimeField(null=True)
    taken_at = models.DateTimeField(null=True)  # when a worker last began to index it
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["base", "source"], name="document_once")]
        indexes = [models.Index(fields=["created_at"], name="document_waiting", condition=Q(state="waiting"))]

    @property
    def public_id(self) -> str:
        return shown("doc", self.id)


class Passage(models.Model):
    """A part of a document, the unit that is found and cited. Characters `begins` to `ends` of the text are `text`.

    Where the server has pgvector the table has a column `vector` too, which the migration adds and only SQL reads.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    base = models.ForeignKey(KnowledgeBase, on_delete=models.CASCADE, related_name="+", db_index=False)
    document = models.ForeignKey(KnowledgeDocument, on_delete=models.CASCADE, related_name="passages", db_index=False)
    n = models.PositiveIntegerField()  # from 0, in the order of the text
    begins = models.PositiveIntegerField()
    ends = models.PositiveIntegerField()
    text = models.TextField()
    words = SearchVectorField(null=True)
    embedded_by = models.CharField(
        max_length=80, blank=True, default="", db_default=""
    )  # what made its vector; empty: the product

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "n"], name="passage_once")]
        indexes = [GinIndex(fields=["words"], name="passage_words"), models.Index(fields=["base"], name="passage_of_base")]

    @property
    def public_id(self) -> str:
        return shown("psg", self.id)
