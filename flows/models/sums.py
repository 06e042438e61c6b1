"""Sums of the ledger by day, so that a year of calls is read in milliseconds. `flows/costs/folding.py` keeps them; they repeat what
the calls say and can be made anew from them at any time."""

from django.db import models

from flows.models.access import ApiKey, Person
from flows.models.definitions import Flow, FlowVersion
from flows.models.runs import Dollars, Run


class SummedZone(models.Model):
    """A time zone whose days are summed: all of them before `until`, and none from then on."""

    zone = models.CharField(max_length=64, primary_key=True)
    until = models.DateField(null=True)


class Summed(models.Model):
    """What some calls of one day of a zone come to. Several rows may stand for the same thing: they add up."""

    id = models.BigAutoField(primary_key=True)
    zone = models.ForeignKey(SummedZone, on_delete=models.CASCADE, db_index=False, related_name="+")
    day = models.DateField()
    flow = models.ForeignKey(Flow, on_delete=models.PROTECT, related_name="+", db_index=False)
    run_purpose = models.CharField(max_length=8)
    simulated = models.BooleanField()
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
        abstract = True


class DaySum(Summed):
    """By model or tool. The fine rows tell also version, person, key, source and route; the others, fewer by far, repeat the same calls
    without."""

    fine = models.BooleanField()
    kind = models.CharField(max_length=8)
    target = models.CharField(max_length=160)
    version = models.ForeignKey(FlowVersion, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    source = models.CharField(max_length=16, blank=True)
    route = models.CharField(max_length=80, blank=True, db_default="", default="")

    class Meta:
        indexes = [models.Index(fields=["zone", "fine", "day"], name="daysum_of_zone")]


class TagSum(Summed):
    """The same calls by all the tags of their run together. When a run gets another tag, what it had cost until then is taken from the
    one list of tags and added to the other, by rows of their own."""

    tags = models.JSONField()
    kind = models.CharField(max_length=8)
    target = models.CharField(max_length=160)

    class Meta:
        indexes = [models.Index(fields=["zone", "day"], name="tagsum_of_zone")]


class StepSum(Summed):
    """The same calls by the path of their step. The rows of a month, whose day is its first, repeat those of its days once all of these
    are summed."""

    monthly = models.BooleanField()
    kind = models.CharField(max_length=8)
    target = models.CharField(max_length=160)
    path = models.CharField(max_length=400)

    class Meta:
        indexes = [models.Index(fields=["zone", "monthly", "day"], name="stepsum_of_zone")]


class RunSum(Summed):
    """The same calls by their run. A row that is `alone` has all that its zone has summed of the run, as nearly every row has: the dearest
    runs are found among these by their order. Runs over midnight, and those with late or simulated calls beside others, have several."""

    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    alone = models.BooleanField()

    class Meta:
        indexes = [
            models.Index(fields=["zone", "run"], name="runsum_of_zone"),
            models.Index(fields=["zone", "simulated", "-settled", "run"], name="runsum_dearest", condition=models.Q(alone=True)),
            models.Index(fields=["zone", "run"], name="runsum_of_several", condition=models.Q(alone=False)),
        ]


class UnsummedCall(models.Model):
    """A call that had not ended when its day was summed. It is read from the ledger until it has, and is summed then."""

    id = models.BigAutoField(primary_key=True)
    zone = models.ForeignKey(SummedZone, on_delete=models.CASCADE)
    call_id = models.UUIDField()
