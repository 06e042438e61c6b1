"""Approval policies and their versions. A version never changes: a request keeps the one under which it was asked."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now

from flows.models import Person
from flows.models.identifiers import new_id


class Policy(models.Model):
    """A rule of who decides on what. `current` is its newest version."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    current = models.ForeignKey("PolicyVersion", on_delete=models.PROTECT, null=True, related_name="+")
    retired_at = models.DateTimeField(null=True)  # since then it applies to nothing new
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name

    @property
    def number(self) -> int:
        """Of the newest version; 0 before there is one."""
        return self.current.number if self.current is not None else 0

    @property
    def label(self) -> str:
        """Its name in addresses with its version: `refunds v4`."""
        return f"{self.slug} v{self.number}"

    @property
    def rules(self) -> dict[str, Any]:
        rules: dict[str, Any] = self.current.rules if self.current is not None else {}
        return rules


class PolicyVersion(models.Model):
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    rules = models.JSONField()  # approvals/policies/settings.py says of what form
    by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["policy", "number"], name="policy_version_once")]
