"""What a run cost, by step and model, down to its single calls. The sum of the rows is the run's own figure, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from uuid import UUID

from django.db.models import CharField, Count, F, Func, Max, Min, Q, QuerySet, Sum, Value

from flows.access.refusals import Fault, Invalid
from flows.costs.reports import UNPRICED
from flows.engine.document import FlowDocument
from flows.models import Call, Run
from flows.runs.inspection import CallView, step_at

CALLS = 50  # on one page
BIG = ("request", "response")
WASTED = Q(status__in=["failed_retryable", "failed_final", "unknown"])


class WithoutIndexes(Func):
    """A path with the numbers of items left out: ``rate[3].assess`` is ``rate[].assess``."""

    function = "regexp_replace"
    output_field = CharField()

    def __init__(self) -> None:
        super().__init__(F("path"), Value(r"\[\d+\]"), Value("[]"), Value("g"))


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one step spent on one model or tool, over all items, attempts and passes."""

    step: str
    label: str
    first: str  # a path that has it
    kind: str
    target: str
    simulated: bool
    estimated: int
    calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost: Decimal
    wasted: Decimal  # the part that was paid for calls which failed
    unpriced: int
    in_flight: int
    share: Decimal | None


@dataclass(frozen=True, slots=True)
class Breakdown:
    lines: list[CostLine]
    total: Decimal
    recorded: Decimal  # the run's own figure
    reserved: Decimal
    unpriced: int
    calls: int
    reported: int
    estimated: int
    wasted: Decimal

    @property
    def adds_up(self) -> bool:
        return self.total == self.recorded

    @property
    def simulated(self) -> bool:
        return any(line.simulated for line in self.lines)


def breakdown_of(run: Run, document: FlowDocument | None) -> Breakdown:
    """The run's costs by step and model, the dearest first: one query."""
    zero = Decimal(0)
    rows = list(
        Call.objects.filter(run=run)
        .annotate(step=WithoutIndexes())
        .values("step", "kind", "target", "simulated")
        .annotate(
            first=Min("path"),
            calls=Count("id"),
            inputs=Sum("input_tokens"),
            cached=Sum("cached_input_tokens"),
            outputs=Sum("output_tokens"),
            cost=Sum("settled"),
            wasted=Sum("settled", filter=WASTED),
            unpriced=Count("id", filter=UNPRICED),
            in_flight=Count("id", filter=Q(status="started")),
            reported=Count("id", filter=Q(kind="model", usage_source="provider")),
            guessed=Count("id", filter=Q(kind="model", usage_source="estimated")),
            latest=Max("started_at"),
        )
        .order_by(F("cost").desc(nulls_last=True), "step", "target")[:1000]
    )
    total = sum((row["cost"] for row in rows if row["cost"] is not None), zero)
    lines = []
    for row in rows:
        info = step_at(document, row["first"])
        cost = row["cost"] or zero
        lines.append(
            CostLine(
                step=row["step"],
                label=info.label if info is not None else row["step"],
                first=row["first"],
                kind=row["kind"],
                target=row["target"],
                simulated=row["simulated"],
                estimated=row["guessed"],
                calls=row["calls"],
                input_tokens=row["inputs"] or 0,
                cached_input_tokens=row["cached"] or 0,
                output_tokens=row["outputs"] or 0,
                cost=cost,
                wasted=row["wasted"] or zero,
                unpriced=row["unpriced"],
                in_flight=row["in_flight"],
                share=cost / total if total else None,
            )
        )
    return Breakdown(
        lines=lines,
        total=total,
        recorded=run.spent,
        reserved=run.reserved,
        unpriced=sum(line.unpriced for line in lines),
        calls=sum(line.calls for line in lines),
        reported=sum(row["reported"] for row in rows),
        estimated=sum(row["guessed"] for row in rows),
        wasted=sum((line.wasted for line in lines), zero),
    )


@dataclass(frozen=True, slots=True)
class CallPage:
    calls: list[CallView]
    older: str


def dearest_calls(run: Run, step: str, target: str, after: str) -> CallPage:
    """The run's calls, the dearest first, of one step (numbers of items left out) and one model where these are given."""
    calls = Call.objects.filter(run=run).defer(*BIG)
    if step:
        calls = calls.annotate(step=WithoutIndexes()).filter(step=step)
    if target:
        calls = calls.filter(target=target)
    calls = _beyond(calls, after).order_by(F("settled").desc(nulls_last=True), "-id")
    found = [CallView(call) for call in calls[: CALLS + 1]]
    older = found[CALLS - 1].call if len(found) > CALLS else None
    cursor = "" if older is None else f"{'' if older.settled is None else format(older.settled, 'f')}_{older.id.hex}"
    return CallPage(found[:CALLS], cursor)


def _beyond(calls: QuerySet[Call], after: str) -> QuerySet[Call]:
    if not after:
        return calls
    try:
        amount, _, identifier = after.partition("_")
        last = UUID(hex=identifier)
        settled = Decimal(amount) if amount else None
    except (ValueError, InvalidOperation):
        raise Invalid("The cursor cannot be used.", problems=[Fault("after", "is no cursor of this list")]) from None
    if settled is None:
        return calls.filter(settled__isnull=True, id__lt=last)
    return calls.filter(Q(settled__isnull=True) | Q(settled__lt=settled) | Q(settled=settled, id__lt=last))
