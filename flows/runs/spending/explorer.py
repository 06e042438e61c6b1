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
from flows.costs.grains import SUMMED
from flows.costs.ranking import RANKED, ranked
from flows.costs.reports import IN_ORDER, MOST_ROWS, PROVIDER, PURPOSE, Spend, calls_within, grouped
from flows.costs.sums import Cells, Figures, Span, Standing, Table, Unsummed, added, figures_of, merged, sources_of
from flows.models import Call, Flow, Run
from flows.models.identifiers import shown
from flows.runs.inspection import CallView
from flows.runs.spending.chart import Chart, chart_of, span_of
from flows.runs.spending.wanted import Wanted

CALLS_AT_ONCE = 100
ROWS_AT_ONCE = 50
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
    change: Decimal | None = None
    """Against what the same cost in the period before; None where that is not known, or was nothing."""


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

    def __init__(self, wanted: Wanted, cells: Cells, bars: Cells, left: Unsummed | None) -> None:
        first = wanted.first
        self.wanted = wanted
        self.labels = Labels()
        self.before = cost_in(
            added(figures for key, figures in bars.items() if wanted.before[0] <= key[0] < first), wanted.purpose
        )
        """What the period before cost, by the same choices."""
        self.rows_before = self._rows_before(bars) if wanted.by == charted(wanted) else None
        """By name what each row of the table cost in the period before; None where the bars do not tell."""
        self.bars = {key: figures for key, figures in bars.items() if key[0] >= first}
        self.foreseeing = _of_this_month(wanted)
        self.forecast = _foreseen(bars) if self.foreseeing else None
        """Of the month that goes on, where that is the period; None elsewhere, and with too little history."""
        self.left = left
        """What no sums have, by all that the page groups by; None where no sums can be read at all."""
        spends = {key: Spend(key[1], *figures) for key, figures in cells.items()}
        self.total = together(spends.values())
        self.models = together(spend for (kind, _), spend in spends.items() if kind == "model")
        rows: defaultdict[Any, list[Spend]] = defaultdict(list)
        for (kind, name), spend in spends.items():
            if wanted.by not in ("model", "tool") or kind == wanted.by:
                rows[moment_of(name)].append(spend)
        self.spends = [together(each, name) for name, each in rows.items()]
        self.below = together(self.spends)
        """What the table's rows come to: by model those of models, by tool those of tools."""
        if wanted.by in IN_ORDER:
            self.spends.sort(key=lambda each: (each.name is None, each.name))
        else:
            self.spends.sort(key=lambda each: (-each.cost, -each.simulated, str(each.name)))

    def _rows_before(self, bars: Cells) -> dict[Any, Decimal]:
        wanted = self.wanted
        rows: defaultdict[Any, list[Figures]] = defaultdict(list)
        for (day, kind, name), figures in bars.items():
            if wanted.before[0] <= day < wanted.first and (wanted.by not in ("model", "tool") or kind == wanted.by):
                rows[name].append(figures)
        return {name: cost_in(added(each), wanted.purpose) for name, each in rows.items()}

    def change_of(self, name: Any, cost: Decimal) -> Decimal | None:
        """How much more a row costs than in the period before, as a part of that."""
        before = (self.rows_before or {}).get(name)
        return (cost - before) / before if before else None

    def chart(self, lines: Iterable[Decimal] = ()) -> Chart | None:
        """Dollars a day, stacked by the table's group, or by model where that is the time, with the days that are foreseen and room for
        these lines."""
        by = charted(self.wanted)
        amounts: defaultdict[tuple[date, str], Decimal] = defaultdict(Decimal)
        for (day, kind, name), (cost, simulated, *_) in self.bars.items():
            if by not in ("model", "tool") or kind == by:
                amounts[day, plain_name(by, name)] += cost + simulated
        ahead = self.forecast.days if self.forecast is not None else ()
        return chart_of(amounts, self.wanted.first, self.wanted.last, ahead=ahead, lines=[*lines])


def together(spends: Iterable[Spend], name: Any = None) -> Spend:
    return added((figures_of(spend) for spend in spends), name)


def moment_of(name: Any) -> Any:
    """Days as moments, as the ledger names them."""
    if isinstance(name, date) and not isinstance(name, datetime):
        return datetime.combine(name, time.min, timezone.get_current_timezone())
    return name


def charted(wanted: Wanted) -> str:
    return wanted.by if wanted.by in CHARTED else "model"


def picture_of(actor: Actor, wanted: Wanted, at: Standing) -> Picture:
    """One query. The bars reach back over the period before, and as far as a forecast looks."""
    first, last, chart = wanted.first, wanted.last, charted(wanted)
    by = wanted.by if wanted.by in SUMMED else "kind"
    earliest = min(wanted.before[0], last - timedelta(days=7 * WEEKS)) if _of_this_month(wanted) else wanted.before[0]
    span = Span(first, span_of(first, last))
    sources = sources_of(actor, wanted.scope(earliest, last), "day", "kind", chart, by, at=at, span=span)
    summed = sources.sums is not None
    names = ("kind", chart, by, *([wanted.then] if wanted.then and summed and by != "kind" else ()))
    of_bars = Table({"day": "span", "kind": "kind", chart: chart}, earliest)
    of_rows = Table({"kind": "kind", by: by}, first)
    in_bars = by in (chart, "kind") or (by == "day" and span.days == 1)
    left, (bars, *rows) = sources.left_and_summed(names, of_bars, *([] if in_bars else [of_rows]))
    bars = left.beside(bars, "span", "kind", chart, first=earliest, last=last, span=span)
    if rows:
        cells = left.beside(rows[0], *of_rows.groups, first=first, last=last)
    else:
        which = ("day", "kind", chart).index(by)
        here = [key for key in bars if key[0] >= first]
        cells = merged({}, ((key[1], key[which]) for key in here), (bars[key] for key in here))
    return Picture(wanted, cells, bars, left if summed else None)


def _of_this_month(wanted: Wanted) -> bool:
    today = timezone.localdate()
    return (wanted.first, wanted.last) == (today.replace(day=1), today)


def _foreseen(bars: Cells) -> Forecast | None:
    spent: defaultdict[date, Decimal] = defaultdict(Decimal)
    for (day, *_), (cost, simulated, *_) in bars.items():
        spent[day] += cost + simulated
    return month_end(spent, timezone.localdate(), min(spent, default=None))


def rows_of(actor: Actor, wanted: Wanted, picture: Picture, at: Standing, after: int = 0) -> list[Row]:
    """`ROWS_AT_ONCE` of the table's rows; all together they are `picture.below` exactly, but for tags, of which a run may bear some."""
    if wanted.by in RANKED:
        spends = ranked(actor, wanted.scope(), wanted.by, at, after=after, most=ROWS_AT_ONCE)
    else:
        spends = picture.spends if wanted.by in SUMMED else grouped(calls_within(actor, wanted.scope()), wanted.by, MOST_ROWS)
        spends = spends[after : after + ROWS_AT_ONCE]
    labels = picture.labels.of(wanted.by, [each.name for each in spends])
    whole = cost_in(picture.below, wanted.purpose)
    rows = []
    for spend in spends:
        cost = cost_in(spend, wanted.purpose)
        label, page = labels.get(spend.name) or (plain_name(wanted.by, spend.name), "")
        rows.append(
            Row(
                label,
                spend,
                cost,
                cost / whole if whole else None,
                wanted.into(spend.name),
                page,
                spend.name,
                picture.change_of(spend.name, cost),
            )
        )
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


class Labels:
    """What a reader calls flows and runs, and their pages: one query a kind, none for what is known already."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[str, str]] = {}

    def of(self, by: str, names: Iterable[Any]) -> dict[Any, tuple[str, str]]:
        """By name: (label, page)."""
        asked = [name for name in names if name and name not in self._known]
        if by == "flow" and asked:
            self._flows(Flow.objects.filter(slug__in=asked).values_list("slug", "name"))
        elif by == "run" and asked:
            runs = list(Run.objects.filter(id__in=asked).values_list("id", "number", "flow__slug", "flow__name"))
            self._known |= {id_: (f"{flow} #{number}", f"/runs/{shown('run', id_)}") for id_, number, _, flow in runs}
            self._flows((slug, flow) for _, _, slug, flow in runs)
        return self._known if by in ("flow", "run") else {}

    def _flows(self, flows: Iterable[tuple[str, str]]) -> None:
        self._known |= {slug: (name, f"/flows/{slug}") for slug, name in flows}


def plain_name(by: str, name: Any) -> str:
    if isinstance(name, datetime):
        day = local_day(name)
        if by == "hour":
            return f"{timezone.localtime(name):%a} {day.day} {day:%b %Y, }{timezone.localtime(name):%H:%M}"
        return f"{day:%B %Y}" if by == "month" else f"{day:%a} {day.day} {day:%b %Y}"
    if by == "source":
        return SOURCES.get(name, str(name))
    if by == "version":
        return f"v{name}"
    return "nobody" if name is None and by == "person" else str(name or "none")


def local_day(moment: datetime) -> date:
    return timezone.localtime(moment).date()
