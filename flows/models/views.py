"""Views of lists that somebody keeps: a name and an address."""

from django.db import models
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.identifiers import new_id


class PinnedView(models.Model):
    """One person's own: the choices of a page (`query`, as in its address) under a name."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="pinned_views")
    page = models.CharField(max_length=16)  # costs | runs
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "page", "name"], name="pinned_view_once")]
