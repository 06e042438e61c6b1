"""Long work that people asked for and that goes on by itself."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.identifiers import new_id, shown


class Errand(models.Model):
    """One piece of long work, asked for by one person. Its row is the job, and says how far it is."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    by = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=24)  # who carries it: `runs.retry`, `runs.export`, `base.reindex`, …
    key = models.CharField(max_length=80)  # the same one of the same person is the same errand
    title = models.CharField(max_length=160)  # in words
    subject = models.CharField(max_length=80, blank=True)  # the address of the page that it is about
    about = models.JSONField(default=dict)  # what its kind needs to know
    wanted = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)  # of those done: what was left as it is
    left = models.JSONField(default=list)  # the first hundred of them: [{"what", "why", "address"}]
    error = models.CharField(max_length=300, blank=True)  # why it stopped, where it did
    begun_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["by", "key"], name="errand_once")]
        indexes = [
            models.Index(fields=["by", "-begun_at"], name="errand_of_person"),
            models.Index(fields=["moved_at"], name="errand_open", condition=Q(ended_at__isnull=True)),
        ]

    @property
    def public_id(self) -> str:
        return shown("ern", self.id)


class ErrandPiece(models.Model):
    """A part of the file that an errand makes, compressed by gzip; the parts one behind the other are the whole."""

    errand = models.ForeignKey(Errand, on_delete=models.CASCADE, related_name="pieces")
    n = models.PositiveIntegerField()  # from 0
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["errand", "n"], name="errand_piece_once")]
