"""What the cost explorer shows: the rows of its table, its sums, its chart, and the calls behind a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, QuerySet
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.costs.forecast import WEEKS, Forecast, month_end
from flows.costs.reports import IN_ORDER, MOST_ROWS, Spend, calls_within, grouped
from flows.costs.sums import SUMMED, Cells, Figures, Standing, added, figures_of, sources_of
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


CHARTED = frozenset({"flow", "model", "tool", "person", "key", "source", "purpose"})


class Picture:
    """All that the page sums, from one reading of cells by (day, kind, name in the chart, and, where it is another, in the table)."""

    def __init__(self, wanted: Wanted, cells: Cells) -> None:
        self.wanted = wanted
        self.cells = cells
        found: defaultdict[tuple[str, Any], list[Figures]] = defaultdict(list)
        for key, figures in cells.items():
            found[key[1], self._name(key)].append(figures)
        spends = {key: added(figures, key[1]) for key, figures in found.items()}
        self.total = together(spends.values())
        self.models = together(spend for (kind, _), spend in spends.items() if kind == "model")
        rows: defaultdict[Any, list[Spend]] = defaultdict(list)
        for (kind, name), spend in spends.items():
            if wanted.by not in ("model", "tool") or kind == wanted.by:
                rows[name].append(spend)
        self.spends = [each[0] if len(each) == 1 else together(each, name) for name, each in rows.items()]
        self.below = together(self.spends)
        """What the table's rows come to: by model those of models, by tool those of tools."""
        if wanted.by in IN_ORDER:
            self.spends.sort(key=lambda each: (each.name is None, each.name))
        else:
            self.spends.sort(key=lambda each: (-each.cost, -each.simulated, str(each.name)))

    def _name(self, key: tuple[Any, ...]) -> Any:
        """What a cell is called in the table."""
        if self.wanted.by == "day":
            return _midnight(key[0])
        return _midnight(key[0].replace(day=1)) if self.wanted.by == "month" else key[-1]

    def chart(self) -> Chart | None:
        """Dollars a day, stacked by the table's group, or by model where that is the time."""
        by = charted(self.wanted)
        amounts: defaultdict[tuple[date, str], Decimal] = defaultdict(Decimal)
        for (day, kind, name, *_), (cost, simulated, *_) in self.cells.items():
            if by not in ("model", "tool") or kind == by:
                amounts[day, _plain(by, name)] += cost + simulated
        return chart_of(amounts, self.wanted.first, self.wanted.last)


def together(spends: Iterable[Spend], name: Any = None) -> Spend:
    return added((figures_of(spend) for spend in spends), name)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, timezone.get_current_timezone())


def charted(wanted: Wanted) -> str:
    return wanted.by if wanted.by in CHARTED else "model"


def picture_of(actor: Actor, wanted: Wanted, at: Standing) -> Picture:
    """Two queries."""
    names = ["day", "kind", charted(wanted)]
    if wanted.by in SUMMED and wanted.by not in names:
        names.append(wanted.by)
    return Picture(wanted, sources_of(actor, wanted.scope(), *names, at=at).by(*names))


def rows_of(actor: Actor, wanted: Wanted, picture: Picture) -> list[Row]:
    """The table's rows; together they are `picture.below` exactly, unless there are more than `MOST_ROWS`."""
    if wanted.by in SUMMED or wanted.by == "month":
        spends = picture.spends[:MOST_ROWS]
    else:
        spends = grouped(calls_within(actor, wanted.scope()), wanted.by, MOST_ROWS)
    labels = _labels(wanted.by, [each.name for each in spends])
    whole = cost_in(picture.below, wanted.purpose)
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


def before(actor: Actor, wanted: Wanted, at: Standing) -> Decimal:
    """What the period before cost, by the same choices."""
    cells = sources_of(actor, wanted.scope(*wanted.before), "kind", at=at).by("kind")
    return cost_in(added(cells.values()), wanted.purpose)


def forecast(actor: Actor, wanted: Wanted, at: Standing) -> Forecast | None:
    """Of the month that goes on, where that is the period; None elsewhere, and with too little history."""
    today = timezone.localdate()
    if (wanted.first, wanted.last) != (today.replace(day=1), today):
        return None
    since = min(today.replace(day=1), today - timedelta(days=7 * WEEKS))
    cells = sources_of(actor, wanted.scope(since, today), "day", at=at).by("day")
    spent = {day: cost + simulated for (day,), (cost, simulated, *_) in cells.items()}
    return month_end(spent, today, min(spent, default=None))


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
