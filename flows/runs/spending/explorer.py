"""What the cost explorer shows: the rows of its table, its sums, its chart, and the calls behind a row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.costs.forecast import WEEKS, Forecast, month_end
from flows.costs.reports import IN_ORDER, MOST_ROWS, PROVIDER, PURPOSE, Spend, calls_within, grouped
from flows.costs.sums import SUMMED, Cells, Figures, Span, Standing, added, figures_of, merged, sources_of
from flows.models import AuditRow, Call, Flow, Run
from flows.models.identifiers import shown
from flows.runs.inspection import CallView
from flows.runs.spending.chart import Chart, chart_of, span_of
from flows.runs.spending.wanted import Wanted

CALLS_AT_ONCE = 100
ROWS_AT_ONCE = 50
MOST_PARTS = 8
SOURCES = {"page": "Page", "api": "API", "cli": "Command line", "schedule": "Schedule", "webhook": "Webhook"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `onward` are the parameters that lead into it, `page` the one of what it names."""

    label: str
    spend: Spend
    cost: Decimal
    share: Decimal | None
    onward: dict[str, str | None] | None
    page: str = ""
    name: Any = None


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, the newest first; `older` is the cursor of the next ones."""

    calls: list[CallView]
    older: str


def cost_in(spend: Spend, purpose: str) -> Decimal:
    """The money that a purpose means: real, simulated, or, where it keeps calls by what they were for, both together."""
    return {"real": spend.cost, "simulated": spend.simulated}.get(purpose, spend.cost + spend.simulated)


CHARTED = frozenset({"flow", "model", "tool", "provider", "route", "team", "person", "key", "source", "purpose"})


class Picture:
    """All that the page sums: `cells` by (kind, name in the table), and `bars` by (day or first day of a bar, kind, name in the
    chart)."""

    def __init__(self, wanted: Wanted, cells: Cells, bars: Cells, before: Decimal) -> None:
        self.wanted = wanted
        self.before = before
        """What the period before cost, by the same choices."""
        self.bars = bars
        spends = {key: Spend(key[1], *figures) for key, figures in cells.items()}
        self.total = together(spends.values())
        self.models = together(spend for (kind, _), spend in spends.items() if kind == "model")
        rows: defaultdict[Any, list[Spend]] = defaultdict(list)
        for (kind, name), spend in spends.items():
            if wanted.by not in ("model", "tool") or kind == wanted.by:
                rows[_name(name)].append(spend)
        self.spends = [together(each, name) for name, each in rows.items()]
        self.below = together(self.spends)
        """What the table's rows come to: by model those of models, by tool those of tools."""
        if wanted.by in IN_ORDER:
            self.spends.sort(key=lambda each: (each.name is None, each.name))
        else:
            self.spends.sort(key=lambda each: (-each.cost, -each.simulated, str(each.name)))

    def chart(self) -> Chart | None:
        """Dollars a day, stacked by the table's group, or by model where that is the time."""
        by = charted(self.wanted)
        amounts: defaultdict[tuple[date, str], Decimal] = defaultdict(Decimal)
        for (day, kind, name), (cost, simulated, *_) in self.bars.items():
            if by not in ("model", "tool") or kind == by:
                amounts[day, plain_name(by, name)] += cost + simulated
        return chart_of(amounts, self.wanted.first, self.wanted.last)


def together(spends: Iterable[Spend], name: Any = None) -> Spend:
    return added((figures_of(spend) for spend in spends), name)


def _name(name: Any) -> Any:
    """Days as moments, as the ledger names them."""
    if isinstance(name, date) and not isinstance(name, datetime):
        return datetime.combine(name, time.min, timezone.get_current_timezone())
    return name


def charted(wanted: Wanted) -> str:
    return wanted.by if wanted.by in CHARTED else "model"


def picture_of(actor: Actor, wanted: Wanted, at: Standing) -> Picture:
    """Three queries, or two where the table and the chart are of one grouping. The bars reach back over the period before."""
    first, chart = wanted.first, charted(wanted)
    by = wanted.by if wanted.by in SUMMED else "kind"
    span = Span(first, span_of(first, wanted.last))
    daily = by == "day" and span.days == 1
    scope = wanted.scope(wanted.before[0], wanted.last)
    sources = sources_of(actor, scope, "kind", chart, by, at=at, span=span)
    names = ("day", "kind", chart, *([by] if by not in ("day", "kind", chart) else ()))
    late = sources.unsummed(*names)
    bars = merged(sources.summed("span", "kind", chart), ((span.of(key[0]), *key[1:3]) for key in late), late.values())
    earlier = [figures for key, figures in bars.items() if key[0] < first]
    bars = {key: figures for key, figures in bars.items() if key[0] >= first}
    if by in (chart, "kind") or daily:
        which = 0 if daily else ("day", "kind", chart).index(by)
        cells = merged({}, ((key[1], key[which]) for key in bars), bars.values())
    else:
        here = replace(sources, sums=None if sources.sums is None else sources.sums.filter(day__gte=first))
        of_late = {key: figures for key, figures in late.items() if key[0] >= first}
        where = names.index(by)
        cells = merged(here.summed("kind", by), ((key[1], key[where]) for key in of_late), of_late.values())
    return Picture(wanted, cells, bars, cost_in(added(earlier), wanted.purpose))


def rows_of(actor: Actor, wanted: Wanted, picture: Picture, after: int = 0) -> list[Row]:
    """`ROWS_AT_ONCE` of the table's rows; all together they are `picture.below` exactly, unless there are more than `MOST_ROWS`."""
    if wanted.by in SUMMED:
        spends = picture.spends
    else:
        spends = grouped(calls_within(actor, wanted.scope()), wanted.by, MOST_ROWS)
    spends = spends[after : after + ROWS_AT_ONCE]
    labels = labels_of(wanted.by, [each.name for each in spends])
    whole = cost_in(picture.below, wanted.purpose)
    rows = []
    for spend in spends:
        cost = cost_in(spend, wanted.purpose)
        label, page = labels.get(spend.name) or (plain_name(wanted.by, spend.name), "")
        rows.append(Row(label, spend, cost, cost / whole if whole else None, wanted.into(spend.name), page, spend.name))
    return rows


def parts_of(actor: Actor, wanted: Wanted, rows: Sequence[Row], at: Standing) -> list[list[Row]]:
    """What each of these rows consists of by `then`, the dearest `MOST_PARTS` and the others together: exactly the row. Two queries,
    and one for names."""
    only = None if wanted.by in IN_ORDER else [row.name for row in rows]
    cells = sources_of(actor, wanted.scope(), wanted.by, wanted.then, "kind", at=at).by(wanted.by, wanted.then, "kind", only=only)
    found: defaultdict[Any, defaultdict[Any, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for (name, part, kind), figures in cells.items():
        if wanted.by not in ("model", "tool") or kind == wanted.by:
            found[_name(name)][_name(part) if wanted.then not in ("model", "tool") or kind == wanted.then else None].append(
                figures
            )
    labels = labels_of(wanted.then, [part for parts in found.values() for part in parts])
    return [_parts(wanted, row, found[row.name], labels) for row in rows]


def _parts(wanted: Wanted, row: Row, found: Mapping[Any, list[Figures]], labels: Mapping[Any, tuple[str, str]]) -> list[Row]:
    spends = [added(figures, part) for part, figures in found.items()]
    if wanted.then in IN_ORDER:
        spends.sort(key=lambda each: (each.name is None, each.name))
    else:
        spends.sort(key=lambda each: (-each.cost, -each.simulated, str(each.name)))
    parts = []
    for spend in spends[:MOST_PARTS]:
        cost = cost_in(spend, wanted.purpose)
        label, page = labels.get(spend.name) or (plain_name(wanted.then, spend.name), "")
        share = cost / row.cost if row.cost else None
        parts.append(Row(label, spend, cost, share, wanted.into_part(row.name, spend.name), page, spend.name))
    rest = spends[MOST_PARTS:]
    if rest:
        others = together(rest)
        cost = cost_in(others, wanted.purpose)
        parts.append(Row(f"{len(rest)} others", others, cost, cost / row.cost if row.cost else None, None))
    return parts


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


def forecast(actor: Actor, wanted: Wanted, at: Standing) -> Forecast | None:
    """Of the month that goes on, where that is the period; None elsewhere, and with too little history."""
    today = timezone.localdate()
    if (wanted.first, wanted.last) != (today.replace(day=1), today):
        return None
    since = min(today.replace(day=1), today - timedelta(days=7 * WEEKS))
    cells = sources_of(actor, wanted.scope(since, today), "day", at=at).by("day")
    spent = {day: cost + simulated for (day,), (cost, simulated, *_) in cells.items()}
    return month_end(spent, today, min(spent, default=None))


@dataclass(frozen=True, slots=True)
class Mark:
    """A day on which a budget passed a share of its limit, and where it stands in the chart."""

    day: date
    x: float
    words: str


def marks_of(actor: Actor, wanted: Wanted, chart: Chart | None) -> list[Mark]:
    """The marks of the chart: one query. Budgets count real money only, and are those of the whole installation or of a kept flow."""
    if chart is None or wanted.purpose not in ("real", "all"):
        return []
    scope = wanted.scope()
    names = Q(subject__startswith="all,")
    for flow in wanted.chosen.get("flow", ()):
        names |= Q(subject__startswith=f"flow {flow},")
    rows = AuditRow.objects.filter(names, subject_kind="budget", action="budget.reached", at__gte=scope.since, at__lt=scope.until)
    marks = []
    for row in rows.order_by("id")[:100]:
        day = _local(row.at)
        bar = next((bar for bar in chart.bars if bar.first <= day <= bar.last), None)
        if bar is not None:
            words = f"{day:%a} {day.day} {day:%b}: the budget {row.subject} passed {row.data.get('share')} % of its limit"
            marks.append(Mark(day, round(bar.x + bar.width / 2, 2), words))
    return marks


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
            key=F("run__started_key__label"),
            source=F("run__source"),
            team=F("run__flow__team__slug"),
            tags=F("run__tags"),
            provider=PROVIDER,
            purpose=PURPOSE,
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
    "key",
    "source",
    "team",
    "tags",
    "purpose",
    "path",
    "attempt",
    "n",
    "kind",
    "target",
    "provider",
    "route",
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


def labels_of(by: str, names: Sequence[Any]) -> dict[Any, tuple[str, str]]:
    """What a reader calls these: (label, page)."""
    if by == "flow":
        flows = Flow.objects.filter(slug__in=[name for name in names if name]).values_list("slug", "name")
        return {slug: (name, f"/flows/{slug}") for slug, name in flows}
    if by == "run":
        runs = Run.objects.filter(id__in=names).values_list("id", "number", "flow__name")
        return {id_: (f"{flow} #{number}", f"/runs/{shown('run', id_)}") for id_, number, flow in runs}
    return {}


def plain_name(by: str, name: Any) -> str:
    if isinstance(name, datetime):
        day = _local(name)
        if by == "hour":
            return f"{timezone.localtime(name):%a} {day.day} {day:%b %Y, }{timezone.localtime(name):%H:%M}"
        return f"{day:%B %Y}" if by == "month" else f"{day:%a} {day.day} {day:%b %Y}"
    if by == "source":
        return SOURCES.get(name, str(name))
    if by == "version":
        return f"v{name}"
    return "nobody" if name is None and by == "person" else str(name or "none")


def _local(moment: datetime) -> date:
    return timezone.localtime(moment).date()
