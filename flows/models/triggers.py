"""What starts a flow by itself: schedules and webhooks, and each time that one of them fired."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.definitions import Flow
from flows.models.identifiers import new_id, shown
from flows.models.runs import Run


class Trigger(models.Model):
    """A schedule or a webhook of one flow. Its runs are started in the name of `owner`, with what that person may do then."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="triggers")
    kind = models.CharField(max_length=16)  # schedule | webhook
    name = models.CharField(max_length=160)
    settings = models.JSONField(default=dict)  # as flows/triggers/settings.py has them
    owner = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")  # who saved it last
    paused_at = models.DateTimeField(null=True)
    paused_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    next_fire_at = models.DateTimeField(null=True)  # of a schedule that is not paused; by the database's clock
    salt = models.CharField(max_length=64, blank=True)  # of a webhook: its secret is derived from this and the signing key
    former_salt = models.CharField(max_length=64, blank=True)
    rotated_at = models.DateTimeField(null=True)  # the former secret still works for a day from then
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["next_fire_at"], name="trigger_due", condition=Q(next_fire_at__isnull=False)),
            models.Index(fields=["flow", "id"], name="trigger_by_flow"),
        ]
        constraints = [models.CheckConstraint(condition=Q(kind__in=["schedule", "webhook"]), name="trigger_kind_known")]

    def __str__(self) -> str:
        return self.name

    @property
    def public_id(self) -> str:
        return shown("trg", self.id)


class Firing(models.Model):
    """One time that a trigger fired, or was asked to: a fire time of a schedule, a delivery to a webhook, a person's "run now"."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    trigger = models.ForeignKey(Trigger, on_delete=models.CASCADE, related_name="firings")
    mark = models.CharField(
        max_length=200, null=True
    )  # fire time or delivery id; no two of a trigger bear the same. Null: refused
    due_at = models.DateTimeField(null=True)
    at = models.DateTimeField(db_default=Now())
    outcome = models.CharField(max_length=16)  # started | queued | skipped | missed | refused
    reason = models.CharField(max_length=300, blank=True)
    body = models.TextField(blank=True)  # what was delivered, as it came
    digest = models.CharField(max_length=64, blank=True)  # SHA-256 of the body
    run = models.ForeignKey(Run, on_delete=models.SET_NULL, null=True, related_name="+")
    replay_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        indexes = [
            models.Index(fields=["trigger", "-id"], name="firing_by_trigger"),
            models.Index(fields=["trigger", "id"], name="firing_queued", condition=Q(outcome="queued")),
            models.Index(fields=["run"], name="firing_by_run", condition=Q(run__isnull=False)),
        ]
        constraints = [models.UniqueConstraint(fields=["trigger", "mark"], name="firing_once")]

    @property
    def public_id(self) -> str:
        return shown("fir", self.id)
