"""How long what people and models said is kept."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.definitions import Flow


class RetentionRule(models.Model):
    """Days after the end of a run until what it holds is removed: of one flow's runs, or, without a flow, of all that have no rule of
    their own. Empty: kept for ever. Figures are kept in any case."""

    flow = models.ForeignKey(Flow, on_delete=models.CASCADE, null=True, related_name="+")
    payload_days = models.PositiveSmallIntegerField(null=True)  # inputs, outputs, what was sent to models and tools and came back
    event_days = models.PositiveSmallIntegerField(null=True)  # the events of the timeline
    changed_by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["flow"], name="retention_once", nulls_distinct=False),
            models.CheckConstraint(condition=Q(payload_days__gte=1) | Q(payload_days=None), name="retention_payload_days"),
            models.CheckConstraint(condition=Q(event_days__gte=1) | Q(event_days=None), name="retention_event_days"),
        ]
