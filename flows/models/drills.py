"""Fire drills: faults rehearsed on a flow, one run each."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.definitions import Flow, FlowVersion
from flows.models.identifiers import new_id, shown


class Drill(models.Model):
    """One rehearsal of a version. What came of it is read from its runs."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="drills")
    version = models.ForeignKey(FlowVersion, on_delete=models.PROTECT, related_name="+")
    runs = models.JSONField(default=dict)  # {fault: the run's public identifier}
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(F("flow"), F("id").desc(), name="drill_by_flow"),
            models.Index(fields=["id"], name="drill_under_way", condition=Q(ended_at__isnull=True)),
        ]

    @property
    def public_id(self) -> str:
        return shown("drill", self.id)
