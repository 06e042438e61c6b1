"""Notices to people and channels: what is to be sent, where, and what became of it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models import Person, Request
from flows.models.identifiers import new_id, shown


class Channel(models.Model):
    """A place outside that hears of events: a chat by its incoming webhook, or an address that gets signed webhooks."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=8)  # chat | webhook
    name = models.CharField(max_length=120)
    address = models.URLField(max_length=500)
    events = models.JSONField(default=list)  # empty: all
    salt = models.CharField(max_length=32)  # of the secret with which webhooks are signed
    former_salt = models.CharField(max_length=32, blank=True)
    rotated_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    @property
    def public_id(self) -> str:
        return shown("chn", self.id)


class Preference(models.Model):
    """How one person wants to hear of things; without a row each event by e-mail at once."""

    person = models.OneToOneField(Person, on_delete=models.CASCADE, primary_key=True, related_name="notice_preference")
    email = models.CharField(max_length=8, default="each")  # each | digest | off
    muted = models.JSONField(default=list)  # events that are not sent


class Notice(models.Model):
    """One thing to be sent, written in the transaction of what it tells. The reconciler sends it, and tries again."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    event = models.CharField(max_length=32)
    key = models.CharField(max_length=160)  # one notice a key and receiver
    person = models.ForeignKey(Person, on_delete=models.CASCADE, null=True, related_name="notices")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, related_name="notices")
    request = models.ForeignKey(Request, on_delete=models.PROTECT, null=True, related_name="notices")
    subject = models.CharField(max_length=400)
    facts = models.JSONField(default=list)  # [[name, text], …]: what the system computed, nothing masked, nothing of a model's
    path = models.CharField(max_length=200)  # of the page
    state = models.CharField(max_length=8, default="queued")  # queued | sent | digest | failed
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(db_default=Now())
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "person"], name="notice_once_a_person", condition=Q(person__isnull=False)),
            models.UniqueConstraint(fields=["key", "channel"], name="notice_once_a_channel", condition=Q(channel__isnull=False)),
        ]
        indexes = [models.Index(fields=["next_at"], name="notice_queued", condition=Q(state="queued"))]
