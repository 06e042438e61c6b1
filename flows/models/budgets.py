"""Budgets: how much may go to something in a period, or in each single run, and what has gone and is held."""

from typing import Any

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Now

from flows.models.access import Person
from flows.models.identifiers import new_id
from flows.models.runs import Dollars

SCOPES = ("all", "flow", "team", "person", "key", "tag", "model", "run", "step")
PERIODS = ("hour", "day", "week", "month", "run")
MEASURES = ("cost", "tokens", "calls", "steps", "duration")
"""What a budget can limit. The last two are of single runs: how many steps one may take, and how many seconds."""


def name_of(scope: str, subject: str, period: str) -> str:
    """What a budget is called: `flow refunds, day`, `any run`, `each step of refunds`."""
    if scope in ("run", "step"):
        key = subject.partition("/")[2]
        if key:
            return f"step {subject}"
        return f"each {scope} of {subject}" if subject else f"any {scope}"
    return f"{scope} {subject}".strip() + f", {period}"


class Budget(models.Model):
    """A limit on what a scope may use in each period. `subject` is the flow's, team's or model's slug, the person's username, the
    key's identifier, or the tag; empty for all. Periods begin by the clock of `zone`.

    The period `run` stands for each single run of the scope. The scopes `run` and `step` have no other: any run, or any step of one
    with all that is inside it; their subject is empty, a flow's slug, or, for a step, `flow/step`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    scope = models.CharField(max_length=8, choices=[(each, each) for each in SCOPES])
    subject = models.CharField(max_length=120, blank=True)
    period = models.CharField(max_length=8, choices=[(each, each) for each in PERIODS])
    zone = models.CharField(max_length=64, default="UTC")
    cost = Dollars(null=True)
    tokens = models.BigIntegerField(null=True)
    calls = models.BigIntegerField(null=True)
    steps = models.BigIntegerField(null=True)  # of a run
    duration = models.BigIntegerField(null=True)  # of a run, in seconds
    at_limit = models.CharField(max_length=8, default="stop")  # stop | pause | cheaper | finish | notify
    warn = models.JSONField(default=list)  # shares of the limit, in percent, that are noted once each
    owner = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "subject", "period"], name="budget_once"),
            models.CheckConstraint(
                condition=Q(cost__isnull=False)
                | Q(tokens__isnull=False)
                | Q(calls__isnull=False)
                | Q(steps__isnull=False)
                | Q(duration__isnull=False),
                name="budget_limits_something",
            ),
        ]

    @property
    def name(self) -> str:
        return name_of(self.scope, self.subject, self.period)

    @property
    def limits(self) -> dict[str, Any]:
        """What is limited, by measure."""
        return {name: value for name in MEASURES if (value := getattr(self, name)) is not None}

    @property
    def bounds(self) -> str:
        """What a period may use, as the keys of `told` are written: dollars, tokens and calls."""
        cost = "-" if self.cost is None else f"{self.cost.normalize():f}"
        return "/".join([cost, *("-" if each is None else str(each) for each in (self.tokens, self.calls))])


class BudgetPeriod(models.Model):
    """One period of a budget, or one run or step: what was spent in it, and what is held for calls that have not been settled."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="periods")
    begins = models.DateTimeField()
    ends = models.DateTimeField()
    run_id = models.UUIDField(null=True)  # where the period is a run
    path = models.CharField(max_length=400, blank=True, db_default="", default="")  # where the scope is a step of it
    reserved = Dollars(default=0, db_default=0)
    spent = Dollars(default=0, db_default=0)
    reserved_tokens = models.BigIntegerField(default=0, db_default=0)
    spent_tokens = models.BigIntegerField(default=0, db_default=0)
    reserved_calls = models.BigIntegerField(default=0, db_default=0)
    spent_calls = models.BigIntegerField(default=0, db_default=0)
    unpriced = models.BigIntegerField(default=0, db_default=0)  # calls whose cost is not known
    told = models.JSONField(default=dict, db_default=Value({}, models.JSONField()))
    """By the bounds that held (`Budget.bounds`), the highest share of them, in percent, that was passed and noted."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget", "begins", "run_id", "path"], name="budget_period_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(reserved__gte=0, reserved_tokens__gte=0, reserved_calls__gte=0), name="budget_reserved_not_negative"
            ),
        ]

    @property
    def noted(self) -> int:
        """The highest share of the limit as it is now, in percent, that was passed and noted; 0 where none was."""
        return int(self.told.get(self.budget.bounds, 0))

    @property
    def noted_ever(self) -> int:
        """The highest share that was noted, whatever the limit was then."""
        return max(self.told.values(), default=0)


class BudgetHold(models.Model):
    """What one call may cost at most, held in one period from before its intent until its settlement is counted."""

    id = models.BigAutoField(primary_key=True)
    call_id = models.UUIDField()
    run_id = models.UUIDField()
    epoch = models.IntegerField()  # of the run when it was taken: with a later one the call can no longer begin
    period = models.ForeignKey(BudgetPeriod, on_delete=models.CASCADE, related_name="holds")
    reserved = Dollars()
    tokens = models.IntegerField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["call_id", "period"], name="budget_hold_once")]
