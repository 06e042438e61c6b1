"""Sums of the ledger by day, so that a year of calls is read in milliseconds. `flows/costs/folding.py` keeps them; they repeat what
the calls say and can be made anew from them at any time."""

from django.db import models

from flows.models.access import ApiKey, Person
from flows.models.definitions import Flow, FlowVersion
from flows.models.runs import Dollars


class SummedZone(models.Model):
    """A time zone whose days are summed: all of them before `until`, and none from then on."""

    zone = models.CharField(max_length=64, primary_key=True)
    until = models.DateField(null=True)


class DaySum(models.Model):
    """What some calls of one day of a zone come to. Several rows may stand for one day and flow: they add up.

    The fine rows tell also version, person, key, source and route; the others, fewer by far, repeat the same calls without.
    """

    id = models.BigAutoField(primary_key=True)
    zone = models.ForeignKey(SummedZone, on_delete=models.CASCADE, db_index=False)
    day = models.DateField()
    fine = models.BooleanField()
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="+", db_index=False)
    run_purpose = models.CharField(max_length=8)
    kind = models.CharField(max_length=8)
    target = models.CharField(max_length=160)
    simulated = models.BooleanField()
    version = models.ForeignKey(FlowVersion, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    source = models.CharField(max_length=16, blank=True)
    route = models.CharField(max_length=80, blank=True, db_default="", default="")
    settled = Dollars()
    wasted = Dollars()
    saved = models.DecimalField(max_digits=30, decimal_places=18)
    calls = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    estimated = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["zone", "fine", "day"], name="daysum_of_zone")]


class UnsummedCall(models.Model):
    """A call that had not ended when its day was summed. It is read from the ledger until it has, and is summed then."""

    id = models.BigAutoField(primary_key=True)
    zone = models.ForeignKey(SummedZone, on_delete=models.CASCADE)
    call_id = models.UUIDField()
