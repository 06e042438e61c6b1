"""The tables of sums by day, and what each of them can tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.db.models import Case, CharField, DateField, F, Q, QuerySet, Value, When
from django.db.models.functions import Cast, TruncMonth

from flows.access.actor import Actor
from flows.access.querysets import belonging
from flows.access.rights import Right
from flows.costs.reports import CHOICES, PROVIDER, EachTag, Scope
from flows.models import DaySum, RunSum, StepSum, TagSum
from flows.models.sums import Summed

PURPOSES = {
    "real": Q(simulated=False),
    "all": Q(),
    "simulated": Q(simulated=True) & ~Q(run_purpose="drill"),
    "production": Q(simulated=False, run_purpose="live"),
    "test": Q(simulated=False, run_purpose="test"),
    "drill": Q(run_purpose="drill"),
}
"""`flows.costs.reports.PURPOSES` of sums."""

_BASE: Mapping[str, Any] = {
    "day": F("day"),
    "month": Cast(TruncMonth("day"), DateField()),
    "flow": F("flow__slug"),
    "team": F("flow__team__slug"),
    "purpose": Case(
        When(run_purpose="drill", then=Value("drill")),
        When(simulated=True, then=Value("simulated")),
        When(run_purpose="test", then=Value("test")),
        default=Value("production"),
        output_field=CharField(),
    ),
}
_TARGET: Mapping[str, Any] = {"kind": F("kind"), "model": F("target"), "tool": F("target"), "provider": PROVIDER}
_CHOICES = {"flows": "flow__slug__in", "teams": "flow__team__slug__in"}


@dataclass(frozen=True, slots=True)
class Grain:
    """One of the tables of sums: what it can be grouped by, in the words of `GROUPS`, and which choices of a scope it can keep to, by
    their column; models, tools and providers where it knows them."""

    table: type[Summed]
    groups: Mapping[str, Any]
    choices: Mapping[str, str] = field(default_factory=lambda: _CHOICES)
    fine: bool | None = None
    months: bool = False
    """Whether it has rows of whole months beside those of days."""

    @property
    def targets(self) -> bool:
        return "kind" in self.groups

    def tells(self, scope: Scope, names: Iterable[str]) -> bool:
        """Whether it can say what a scope of whole days comes to by these groups."""
        known = {*self.choices, *(("models", "tools", "providers") if self.targets else ())}
        wanted = {each for each in CHOICES if getattr(scope, each)}
        return wanted <= known and {*names} <= {*self.groups, "span"}

    def between(self, first: date | None, end: date, *, whole: bool) -> Q:
        """The rows of the days from `first`, or from the earliest, until before `end`, where all of these are summed; with `whole`, those
        of its months for the days that these have."""
        days = Q(day__lt=end) & (Q() if first is None else Q(day__gte=first))
        if not self.months:
            return days
        since = None if first is None else first if first.day == 1 else (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        until = end.replace(day=1)
        if not whole or (since is not None and since >= until):
            return days & Q(monthly=False)
        months = Q(day__lt=until) & (Q() if since is None else Q(day__gte=since))
        return Q(monthly=True) & months | Q(monthly=False) & days & ~months

    def of(self, actor: Actor, scope: Scope, zone: str) -> QuerySet[Any]:
        """The rows of a zone, of days and of months, that the scope means and whose costs the actor may see."""
        seen = belonging(actor.holdings, Right.SEE_COSTS, "flow__")
        sums: QuerySet[Any] = self.table._default_manager.filter(seen, PURPOSES[scope.purpose], zone=zone)
        if self.fine is not None:
            sums = sums.filter(fine=self.fine)
        for name, column in self.choices.items():
            if values := list(getattr(scope, name)):
                sums = sums.filter(**{column: values})
        if scope.providers:
            sums = sums.annotate(of_provider=PROVIDER).filter(of_provider__in=scope.providers)
        if scope.models or scope.tools:
            sums = sums.filter(Q(kind="model", target__in=scope.models) | Q(kind="tool", target__in=scope.tools))
        return sums


GRAINS = (
    Grain(DaySum, {**_BASE, **_TARGET}, fine=False),
    Grain(
        DaySum,
        {
            **_BASE,
            **_TARGET,
            "route": F("route"),
            "version": F("version__number"),
            "person": F("person__username"),
            "key": F("key__label"),
            "source": F("source"),
        },
        _CHOICES
        | {
            "versions": "version__number__in",
            "routes": "route__in",
            "people": "person__username__in",
            "keys": "key__label__in",
            "sources": "source__in",
        },
        fine=True,
    ),
    Grain(TagSum, {**_BASE, **_TARGET, "tag": EachTag("tags")}, _CHOICES | {"tags": "tags__contains"}),
    Grain(StepSum, {**_BASE, **_TARGET, "step": F("path")}, _CHOICES | {"steps": "path__in"}, months=True),
    Grain(RunSum, {**_BASE, "run": F("run_id")}),
)
"""The first that tells what is wanted is read: the fewer rows a table has, the earlier it stands."""

SUMMED: Mapping[str, Any] = GRAINS[1].groups
"""What a page can group its table and its chart by at once. Steps, runs and tags stand in tables of their own."""
