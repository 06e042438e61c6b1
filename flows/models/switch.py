"""The kill switch: one row, which every beginning of an effect reads."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person


class KillSwitch(models.Model):
    """Whether effects may begin, and who said so, when and why. Without its row the switch is off."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    is_on = models.BooleanField(default=False)
    reason = models.CharField(max_length=300, blank=True)
    by = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    by_name = models.CharField(max_length=160, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="kill_switch_is_one")]
