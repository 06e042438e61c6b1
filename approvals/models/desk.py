"""What people do about a request before it is decided: open, claim, assign, hand over, talk, change, and hold a decision."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models import ApiKey, Person, Request
from flows.models.identifiers import new_id, shown


class Docket(models.Model):
    """What approvals keep about an open request beside the engine's own row; made when the request is taken up."""

    request = models.OneToOneField(Request, on_delete=models.PROTECT, primary_key=True, related_name="docket")
    claimed_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    claimed_until = models.DateTimeField(null=True)
    assigned_to = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    rung = models.PositiveSmallIntegerField(default=0)  # how many rungs of the ladder are behind it
    next_at = models.DateTimeField(null=True)  # when the next rung is due
    taken_up_at = models.DateTimeField(null=True)  # when those who may decide were told

    class Meta:
        indexes = [models.Index(fields=["next_at"], name="docket_next", condition=Q(next_at__isnull=False))]


class View(models.Model):
    """Somebody opened a request, at this revision for the first time."""

    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="views")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "person", "revision"], name="view_once")]


class Remark(models.Model):
    """A comment, a question to somebody, or its answer."""

    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="remarks")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8)  # comment | question | answer
    to = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")  # who is asked
    text = models.TextField()
    at = models.DateTimeField(db_default=Now())


class Revision(models.Model):
    """A payload as it stood before somebody changed it in a vote: `number` is the revision that showed it."""

    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="former")
    number = models.PositiveIntegerField()
    payload = models.TextField()  # JSON
    payload_hash = models.CharField(max_length=64)
    changed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "number"], name="revision_once")]


class Delegation(models.Model):
    """`taker` may decide in the place of `giver`: on one request, or on all until `until`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    giver = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="given")
    taker = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="taken")
    request = models.ForeignKey(Request, on_delete=models.PROTECT, null=True, related_name="delegations")
    until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["taker"], name="delegation_in_force", condition=Q(ended_at__isnull=True))]

    @property
    def public_id(self) -> str:
        return shown("del", self.id)


class HeldDecision(models.Model):
    """A decision of low risk that can still be undone. The server carries it out at `until`, whatever becomes of the page."""

    request = models.OneToOneField(Request, on_delete=models.PROTECT, primary_key=True, related_name="held")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+")
    door = models.CharField(max_length=16)
    outcome = models.CharField(max_length=64)
    revision = models.PositiveIntegerField()
    payload = models.TextField(null=True)  # JSON: with edits
    comment = models.TextField(blank=True)
    until = models.DateTimeField()
