"""Views of lists that somebody keeps: a name and an address."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.identifiers import new_id


class PinnedView(models.Model):
    """One person's own: the choices of a page (`query`, as in its address) under a name. With `every`, what a view of costs comes to is
    mailed to the person after the end of each such period of `zone`, next at `next_at`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="pinned_views")
    page = models.CharField(max_length=16)  # costs | runs | audit
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True)
    every = models.CharField(max_length=5, blank=True, db_default="", default="")  # day | week | month
    zone = models.CharField(max_length=64, blank=True, db_default="", default="")
    next_at = models.DateTimeField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "page", "name"], name="pinned_view_once")]
        indexes = [models.Index(fields=["next_at"], name="pinned_view_due", condition=Q(next_at__isnull=False))]
