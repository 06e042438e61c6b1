"""What the demonstration brought, so that it can be told from what people made; and how far bringing it has come."""

from django.db import models
from django.db.models.functions import Now

from flows.models.access import Person


class Seeded(models.Model):
    """One thing that the demonstration brought: its kind, and its row's identifier or its name."""

    kind = models.CharField(max_length=12)
    key = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="seeded_once")]


class Filling(models.Model):
    """The filling of this installation with the demonstration's runs: at most one row."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    what = models.CharField(max_length=60, blank=True)  # that is being made
    done = models.PositiveIntegerField(default=0)
    wanted = models.PositiveIntegerField(default=0)
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    begun_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)  # why it stopped, where it did
