"""What runs leave for later ones: values under names, with who set them and when.

Steps write these rows by plain SQL, in the journal's transaction (`flows/execution/keeping.py`). Like its other rows they carry no
foreign-key constraint to the run.
"""

from __future__ import annotations

import json
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person, Team
from flows.models.definitions import Flow
from flows.models.identifiers import new_id, shown
from flows.models.runs import Run


class MemoryEntry(models.Model):
    """One name of a memory and what it holds."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    stamp = models.UUIDField(unique=True, default=new_id)  # UUIDv7 of its newest change: lists are in the order of these
    place = models.CharField(max_length=300)  # of which memory: `Memory.place`
    scope = models.CharField(max_length=6)  # flow | person | key
    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, null=True, related_name="+")
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, null=True, related_name="+")
    key = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=64)
    value = models.TextField()  # JSON
    revision = models.PositiveIntegerField(default=1)  # rises with every change
    untrusted = models.CharField(max_length=160, blank=True, db_default="")  # by which tool its run had read what others wrote
    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+")
    path = models.CharField(max_length=400, blank=True, db_default="")  # of the step that set it
    set_by = models.ForeignKey(
        Person, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False
    )  # where a person did
    set_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)

    shown: Any  # the value without what is hidden of its run, as `flows/memory/reads.py` reads it

    class Meta:
        constraints = [models.UniqueConstraint(fields=["place", "name"], name="memory_once")]
        indexes = [models.Index(fields=["expires_at"], name="memory_expires", condition=Q(expires_at__isnull=False))]

    @property
    def public_id(self) -> str:
        return shown("mem", self.id)

    @property
    def shown_text(self) -> str:
        """As JSON, on one line."""
        return json.dumps(self.shown, ensure_ascii=False)


class MemoryChange(models.Model):
    """What a name was set to, by whom and when; the newest of each name are kept."""

    entry = models.ForeignKey(MemoryEntry, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="changes")
    revision = models.PositiveIntegerField()
    value = models.TextField(null=True)  # JSON; empty where the payloads of its run have been removed
    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    path = models.CharField(max_length=400, blank=True, db_default="")
    by = models.ForeignKey(Person, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False)
    at = models.DateTimeField(db_default=Now())

    shown: Any  # as of an entry

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entry", "revision"], name="memory_change_once")]
