"""Votes: who decided what on which request, and on which payload."""

from django.db import models
from django.db.models.functions import Now

from flows.models import Person, Request


class Vote(models.Model):
    request = models.ForeignKey(Request, on_delete=models.PROTECT, related_name="votes")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="votes")
    on_behalf_of = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")  # who handed it over
    revision = models.PositiveIntegerField()  # of the request that the person saw
    outcome = models.CharField(max_length=64)
    comment = models.TextField(blank=True)
    payload = models.TextField(null=True)  # JSON: the payload with the person's edits
    payload_hash = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "person", "revision"], name="vote_once")]

    @property
    def mandate(self) -> str:
        """Whose vote it is: of one mandate there is one vote, whoever casts it."""
        return (self.on_behalf_of or self.person).username
