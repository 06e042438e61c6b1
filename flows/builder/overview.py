"""Flows as the pages show them: how their last runs went, what they cost, what a document holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.rights import Right
from flows.builder.figures import Median
from flows.engine.courses import HANDLER
from flows.engine.document import Body, FlowDocument, Handler, Step, body_of, parse_document
from flows.engine.problems import DocumentError
from flows.models import Call, Flow, FlowVersion, Run
from flows.steps import known_kinds

TICKS = 20  # last runs of a flow


@dataclass(frozen=True, slots=True)
class Tick:
    """One of a flow's last runs."""

    state: str
    number: int

    @property
    def y(self) -> float:
        return {"failed": 0, "cancelled": 3.5}.get(self.state, 1.5 if self.state == "queued" else 1)

    @property
    def height(self) -> float:
        return {"failed": 12, "cancelled": 5}.get(self.state, 9 if self.state == "queued" else 10)


def outcomes_in_words(ticks: Iterable[Tick]) -> str:
    """What the ticks show, for those who do not see them."""
    counts: dict[str, int] = {}
    for tick in ticks:
        counts[tick.state] = counts.get(tick.state, 0) + 1
    said = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
    return f"Last {sum(counts.values())} runs: {said}" if said else "No runs yet"


# --- one flow


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A published version and how its runs went, over all time. `cost` is the median in dollars of those that succeeded; None where
    there is none, or where costs may not be seen."""

    version: FlowVersion
    live: bool
    runs: int
    succeeded: int
    ended: int
    cost: Decimal | None
    unpriced: int

    @property
    def success(self) -> float | None:
        return self.succeeded / self.ended if self.ended else None


def versions_of(actor: Actor, flow: Flow, most: int = 100) -> list[VersionRow]:
    """The newest versions first: two queries."""
    versions = list(
        FlowVersion.objects.filter(flow=flow, number__isnull=False)
        .defer("document")
        .select_related("created_by")
        .order_by("-number")[:most]
    )
    done = Q(status="succeeded")
    counted = (
        runs_for(actor)
        .filter(flow=flow, purpose="live")
        .order_by()
        .values("version")
        .annotate(
            runs=Count("id"),
            succeeded=Count("id", filter=done),
            ended=Count("id", filter=Q(ended_at__isnull=False)),
            cost=Median("spent", filter=done),
            unpriced=Count("id", filter=done & Q(unpriced__gt=0)),
        )
    )
    sees = actor.may(Right.SEE_COSTS, flow.team_id)
    by_version: dict[Any, Any] = {row["version"]: row for row in counted}
    nothing = {"runs": 0, "succeeded": 0, "ended": 0, "cost": None, "unpriced": 0}
    rows = []
    for each in versions:
        own = {name: by_version.get(each.id, nothing)[name] for name in nothing}
        rows.append(VersionRow(each, each.id == flow.published_id, **{**own, "cost": own["cost"] if sees else None}))
    return rows


def recent_runs(actor: Actor, flow: Flow, most: int, newest: UUID | None = None) -> list[Run]:
    """The flow's newest runs (no newer than `newest`), with who started them and whether their models were `simulated`."""
    runs = runs_for(actor).filter(flow=flow).select_related("version", "started_by").order_by("-id")
    if newest is not None:
        runs = runs.filter(id__lte=newest)
    runs = runs.annotate(simulated=Exists(Call.objects.filter(run=OuterRef("pk"), simulated=True)))
    return list(runs.defer("input", "output", "version__document")[:most])


def runs_since(actor: Actor, flow: Flow, newest: UUID) -> int:
    """How many runs of the flow have begun after this one."""
    return runs_for(actor).filter(flow=flow, id__gt=newest).count()


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step of a document, as deep as it stands. `leads` are its ports, each with the steps that follow; `ends` says what comes where
    there are none."""

    key: str
    depth: int
    kind: str
    kind_label: str
    label: str
    uses: str
    leads: list[tuple[str, str]]
    asks: bool
    ends: str


def steps_listed(document: FlowDocument) -> list[StepRow]:
    """The steps in the order of the document, those of a body below the step that holds it, those of the error handler last, under the
    paths that runs give them; notes are left out."""
    handling = _steps(document.on_error, 0, "the run fails", f"{HANDLER}.") if document.on_error is not None else ()
    return [*_steps(document, 0, "ends here"), *handling]


def _steps(body: FlowDocument | Body | Handler, depth: int, ends: str, prefix: str = "") -> Iterator[StepRow]:
    kinds = known_kinds()
    leaving: dict[str, dict[str, list[str]]] = {}
    for edge in body.edges:
        leaving.setdefault(edge.source, {}).setdefault(edge.port, []).append(edge.target)
    for key, step in body.steps.items():
        if step.kind == "note":
            continue
        kind = kinds.get(step.kind)
        yield StepRow(
            key=prefix + key,
            depth=depth,
            ends=ends,
            kind=step.kind,
            kind_label=kind.label if kind is not None else step.kind,
            label=step.label or key.replace("_", " ").capitalize(),
            uses=_uses(step),
            leads=[("" if port == "done" else port, ", ".join(targets)) for port, targets in leaving.get(key, {}).items()],
            asks=step.kind == "approval",
        )
        inner = body_of(step)
        if inner is not None:
            yield from _steps(inner, depth + 1, "next round" if step.kind == "loop" else "next item")


def _uses(step: Step) -> str:
    """What a step reaches for: a route, a tool, a base, those who decide."""
    for name in ("route", "tool", "base", "flow", "over", "event"):
        if isinstance(step.with_.get(name), str):
            return str(step.with_[name])
    approvers = step.with_.get("approvers")
    if isinstance(approvers, Mapping):
        return ", ".join(str(each) for part in ("people", "teams") for each in approvers.get(part) or [])
    return ""


@dataclass(frozen=True, slots=True)
class InputRow:
    """A property of the input, in words."""

    name: str
    kind: str
    required: bool
    about: str


def inputs_listed(document: FlowDocument) -> list[InputRow]:
    schema = document.input or {}
    properties = schema.get("properties")
    required = schema.get("required") or []
    if not isinstance(properties, Mapping):
        return []
    rows = ((name, each if isinstance(each, Mapping) else {}) for name, each in properties.items())
    return [
        InputRow(name, _kind_of(each), name in required, str(each.get("title") or each.get("description") or ""))
        for name, each in rows
    ]


def _kind_of(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(str(each) for each in schema["enum"][:6])
    if schema.get("contentMediaType"):
        return "text or file"
    kind = schema.get("format") or schema.get("type") or "any value"
    return " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)


@lru_cache(maxsize=64)
def read(text: str) -> FlowDocument | None:
    """The document of a stored text; None where it has become unreadable. Those of the last texts are kept: the same flow is looked at
    again and again, and reading a long one takes longer than the rest of its page."""
    try:
        return parse_document(text)
    except DocumentError:
        return None
