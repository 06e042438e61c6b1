"""Budgets: how much real money may go to something in a period, and what has gone and is held."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.identifiers import new_id
from flows.models.runs import Dollars

SCOPES = ("all", "flow", "team", "person", "key", "tag", "model")
PERIODS = ("hour", "day", "week", "month")


class Budget(models.Model):
    """A limit on what a scope may use in each period. `subject` is the flow's, team's or model's slug, the person's username, the
    key's identifier, or the tag; empty for all. Periods begin by the clock of `zone`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=8, choices=[(each, each) for each in SCOPES])
    subject = models.CharField(max_length=120, blank=True)
    period = models.CharField(max_length=8, choices=[(each, each) for each in PERIODS])
    zone = models.CharField(max_length=64, default="UTC")
    cost = Dollars(null=True)
    tokens = models.BigIntegerField(null=True)
    calls = models.BigIntegerField(null=True)
    at_limit = models.CharField(max_length=8, default="stop")  # stop | pause | cheaper | finish | notify
    warn = models.JSONField(default=list)  # shares of the limit, in percent, that are noted once each
    owner = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "subject", "period"], name="budget_once"),
            models.CheckConstraint(
                condition=Q(cost__isnull=False) | Q(tokens__isnull=False) | Q(calls__isnull=False), name="budget_limits_something"
            ),
        ]

    @property
    def name(self) -> str:
        """Such as `flow refunds, day`."""
        return f"{self.scope} {self.subject}".strip() + f", {self.period}"


class BudgetPeriod(models.Model):
    """One period of a budget: what was spent in it, and what is held for calls that have not been settled."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="periods")
    begins = models.DateTimeField()
    ends = models.DateTimeField()
    reserved = Dollars(default=0, db_default=0)
    spent = Dollars(default=0, db_default=0)
    reserved_tokens = models.BigIntegerField(default=0, db_default=0)
    spent_tokens = models.BigIntegerField(default=0, db_default=0)
    reserved_calls = models.BigIntegerField(default=0, db_default=0)
    spent_calls = models.BigIntegerField(default=0, db_default=0)
    unpriced = models.BigIntegerField(default=0, db_default=0)  # calls whose cost is not known
    noted = models.SmallIntegerField(default=0, db_default=0)  # the highest share of the limit, in percent, that was noted

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["budget", "begins"], name="budget_period_once"),
            models.CheckConstraint(
                condition=Q(reserved__gte=0, reserved_tokens__gte=0, reserved_calls__gte=0), name="budget_reserved_not_negative"
            ),
        ]


class BudgetHold(models.Model):
    """What one call may cost at most, held in one period from before its intent until its settlement is counted."""

    id = models.BigAutoField(primary_key=True)
    call_id = models.UUIDField()
    run_id = models.UUIDField()
    epoch = models.IntegerField()  # of the run when it was taken: with a later one the call can no longer begin
    period = models.ForeignKey(BudgetPeriod, on_delete=models.CASCADE, related_name="holds")
    reserved = Dollars()
    tokens = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["call_id", "period"], name="budget_hold_once")]
