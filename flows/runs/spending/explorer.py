"""What the cost explorer shows: the rows of its table, its sums, its chart, and the calls behind a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Min, QuerySet, Sum
from django.db.models.functions import TruncDay
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.costs.forecast import Forecast, month_end
from flows.costs.reports import GROUPS, MOST_ROWS, Spend, calls_within, grouped, saved_by_caches, summed
from flows.models import Call, Flow, Run
from flows.models.identifiers import shown
from flows.runs.inspection import CallView
from flows.runs.spending.chart import Chart, chart_of
from flows.runs.spending.wanted import Wanted

CALLS_AT_ONCE = 100
SOURCES = {"page": "Page", "api": "API", "cli": "Command line", "schedule": "Schedule", "webhook": "Webhook"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `onward` are the parameters that lead into it, `page` the one of what it names."""

    label: str
    spend: Spend
    cost: Decimal
    share: Decimal | None
    onward: dict[str, str] | None
    page: str = ""


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, the newest first; `older` is the cursor of the next ones."""

    calls: list[CallView]
    older: str


def cost_in(spend: Spend, purpose: str) -> Decimal:
    """The money that a purpose means: real, simulated, or, where it keeps calls by what they were for, both together."""
    return {"real": spend.cost, "simulated": spend.simulated}.get(purpose, spend.cost + spend.simulated)


def sums_of(actor: Actor, wanted: Wanted) -> Spend:
    """The sums of all that the table's rows may hold: by model those of models, by tool those of tools."""
    calls = calls_within(actor, wanted.scope())
    return summed(calls.filter(kind=wanted.by) if wanted.by in ("model", "tool") else calls)


def rows_of(actor: Actor, wanted: Wanted, total: Spend) -> list[Row]:
    """The table's rows; together they are the total exactly, unless there are more than `MOST_ROWS`."""
    spends = grouped(calls_within(actor, wanted.scope()), wanted.by, MOST_ROWS)
    labels = _labels(wanted.by, [each.name for each in spends])
    whole = cost_in(total, wanted.purpose)
    rows = []
    for spend in spends:
        cost = cost_in(spend, wanted.purpose)
        label, page = labels.get(spend.name) or (_plain(wanted.by, spend.name), "")
        rows.append(Row(label, spend, cost, cost / whole if whole else None, wanted.into(spend.name), page))
    return rows


def page_of_calls(actor: Actor, wanted: Wanted, after: str) -> CallPage:
    """The calls themselves. Raises `Invalid` for what is no cursor."""
    calls = calls_within(actor, wanted.scope()).select_related("run__flow").defer("request", "response").order_by("-id")
    if after:
        try:
            calls = calls.filter(id__lt=UUID(hex=after))
        except ValueError:
            raise Invalid("The cursor cannot be used.", problems=[Fault("after", "is no cursor", "Begin at the top.")]) from None
    found = list(calls[: CALLS_AT_ONCE + 1])
    older = found[CALLS_AT_ONCE - 1].id.hex if len(found) > CALLS_AT_ONCE else ""
    return CallPage([CallView(call) for call in found[:CALLS_AT_ONCE]], older)


def chart(actor: Actor, wanted: Wanted) -> Chart | None:
    """Dollars a day, stacked by the table's group, or by model where that is the time."""
    by = wanted.by if wanted.by in {"flow", "model", "tool", "person", "key", "source"} else "model"
    calls = calls_within(actor, wanted.scope())
    if by in ("model", "tool"):
        calls = calls.filter(kind=by)
    found = calls.annotate(day=TruncDay("started_at"), name=GROUPS[by]).values_list("day", "name").annotate(sum=Sum("settled"))
    amounts = {(_local(day), _plain(by, name)): amount for day, name, amount in found if amount}
    return chart_of(amounts, wanted.first, wanted.last)


def before(actor: Actor, wanted: Wanted) -> Decimal:
    """What the period before cost, by the same choices."""
    return cost_in(summed(calls_within(actor, wanted.scope(*wanted.before))), wanted.purpose)


def forecast(actor: Actor, wanted: Wanted) -> Forecast | None:
    """Of the month that goes on, where that is the period; None elsewhere, and with too little history."""
    today = timezone.localdate()
    if (wanted.first, wanted.last) != (today.replace(day=1), today):
        return None
    since = wanted.before[0]
    calls = calls_within(actor, wanted.scope(since, today))
    days = calls.annotate(day=TruncDay("started_at")).values_list("day").annotate(Sum("settled"))
    spent = {_local(day): amount or Decimal(0) for day, amount in days}
    first = calls_within(actor, wanted.scope(date(2000, 1, 2), today)).aggregate(first=Min("started_at"))["first"]
    return month_end(spent, today, None if first is None else _local(first))


def saved(actor: Actor, wanted: Wanted) -> Decimal:
    """What the providers' caches saved."""
    return saved_by_caches(calls_within(actor, wanted.scope()))


def exported(actor: Actor, wanted: Wanted) -> QuerySet[Call, dict[str, Any]]:
    """Every call of the choice with the columns of an export, oldest first."""
    return (
        calls_within(actor, wanted.scope())
        .order_by("id")
        .annotate(
            run_number=F("run__number"),
            flow=F("run__flow__slug"),
            version=F("run__version__number"),
            person=F("run__started_by__username"),
        )
        .values(*EXPORTED)
    )


EXPORTED: Sequence[str] = (
    "id",
    "run_id",
    "run_number",
    "flow",
    "version",
    "person",
    "path",
    "attempt",
    "n",
    "kind",
    "target",
    "status",
    "simulated",
    "started_at",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "settled",
    "usage_source",
    "price_id",
)


def _labels(by: str, names: Sequence[Any]) -> dict[Any, tuple[str, str]]:
    """What a reader calls these: (label, page)."""
    if by == "flow":
        flows = Flow.objects.filter(slug__in=[name for name in names if name]).values_list("slug", "name")
        return {slug: (name, f"/flows/{slug}") for slug, name in flows}
    if by == "run":
        runs = Run.objects.filter(id__in=names).values_list("id", "number", "flow__name")
        return {id_: (f"{flow} #{number}", f"/runs/{shown('run', id_)}") for id_, number, flow in runs}
    return {}


def _plain(by: str, name: Any) -> str:
    if isinstance(name, datetime):
        day = _local(name)
        return f"{day:%B %Y}" if by == "month" else f"{day:%a} {day.day} {day:%b %Y}"
    if by == "source":
        return SOURCES.get(name, str(name))
    if by == "version":
        return f"v{name}"
    return "nobody" if name is None and by == "person" else "none" if name is None else str(name)


def _local(moment: datetime) -> date:
    return timezone.localtime(moment).date()
