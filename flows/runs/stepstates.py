"""Where one step of a run stands, and what leads past people: what the verbs that act on a step must know."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from flows.access.refusals import Conflict, NotFound
from flows.engine.nodes import Node
from flows.engine.paths import Place, downstream
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Attempt, Call, FlowVersion, Intervention, Request, Run, ToolEntry
from flows.runs.courses import place_in_run
from flows.runs.documents import flow_of


class StepBusy(Conflict):
    """The step is being carried out. Wait until its call has come home, or cancel the run."""

    slug = "step-busy"


class StepOver(Conflict):
    """The step has come to its end. To do it differently, retry the run from it."""

    slug = "step-over"


class NotBegun(Conflict):
    """The step has not begun, and the run goes on towards it. Pause the run first."""

    slug = "not-begun"


class DecideInstead(Conflict):
    """People are to decide here; nobody goes past them. Decide the request instead."""

    slug = "decide-instead"


class StepChanged(Conflict):
    """Somebody has decided something else about this step meanwhile, or the run began another pass. Look at it again."""

    slug = "step-changed"


def place_in(run: Run, path: str) -> Place:
    """Where the path leads in the run's flow. Raises `NotFound`."""
    place = place_in_run(run, path[:400])
    if place is None:
        raise NotFound(f"step {path[:100]!r} in this run's flow")
    return place


def step_state(run: Run, path: str) -> str:
    """``idle`` | ``running`` | ``asking`` | ``waiting`` | ``retrying`` | ``open`` | ``succeeded`` | ``failed`` | ``skipped``, in the
    newest pass. The run's row should be locked."""
    here = {"run": run, "pass_number": run.pass_number, "path": path}
    if Call.objects.filter(**here, status="started").exists():
        return "running"
    if Request.objects.filter(**here, state__in=OPEN_REQUEST_STATES).exists():
        return "asking"
    newest = Attempt.objects.filter(**here).order_by("-n").values_list("status", "next_at").first()
    if newest is None:
        return "idle"
    status, next_at = newest
    return "retrying" if status == "failed" and next_at is not None else str(status)


def standing_at(run: Run, path: str) -> str:
    """A token for what was decided about the step so far: another one as soon as somebody skips it, edits it, or begins a pass."""
    here = Intervention.objects.filter(run=run, pass_number=run.pass_number, path=path)
    return f"{run.pass_number}.{here.count()}"


def refuse_if_changed(run: Run, path: str, seen: str | None) -> None:
    """Passes where `seen`, if given, is the step's `standing_at` now. The run's row should be locked. Raises `StepChanged`."""
    if seen is not None and seen != standing_at(run, path):
        raise StepChanged


def asks_people(node: Node, around: frozenset[UUID] = frozenset()) -> bool:
    """Whether the step, or one inside it, is an approval, or asks leave for an agent's call. `around` are the versions of the sub-flows
    that it stands in."""
    if node.kind.slug in {"approval", "permission"}:
        return True
    flow = _flow_run_by(node)
    if flow is not None:
        version = _version_of(*flow)
        if version is None:
            return True  # nobody knows what stands in there
        if version in around:
            return False
        return any(asks_people(each, around | {version}) for each in flow_of(version).graph.nodes.values())
    return node.body is not None and any(asks_people(each, around) for each in node.body.nodes.values())


def avoided_approvals(place: Place, port: str) -> list[str]:
    """The approvals that other ports of the step lead to and `port` does not. What happens on an error is not asked beforehand."""
    outgoing = place.node.outgoing
    chosen = _approvals(place, outgoing.get(port, ()))
    others = [key for name, targets in outgoing.items() if name not in {port, "error"} for key in _approvals(place, targets)]
    return sorted(set(others) - set(chosen))


def sealed_by(place: Place) -> list[str]:
    """The approvals that seal what this step sends."""
    key = place.node.key
    return [name for name, node in place.graph.nodes.items() if getattr(node.settings, "seals", None) == key]


def _flow_run_by(node: Node) -> tuple[str, int | None] | None:
    """The flow that a step goes on as, with the number of its version (None: the published one): a sub-flow's, or that which its tool
    is."""
    settings: Any = node.settings
    if node.kind.slug == "subflow":
        return settings.flow, settings.version
    if node.kind.slug != "tool":
        return None
    named = ToolEntry.objects.filter(slug=settings.tool, kind="flow").values_list("settings", flat=True).first()
    return (named["flow"], named.get("version")) if named is not None else None


def _version_of(flow: str, number: int | None) -> UUID | None:
    versions = FlowVersion.objects.filter(flow__slug=flow)
    wanted = Q(number=number) if number is not None else Q(id=F("flow__published"))
    return versions.filter(wanted).values_list("id", flat=True).first()


def _approvals(place: Place, targets: Iterable[str]) -> set[str]:
    reached = {key for target in targets for key in (target, *downstream(place.graph, target))}
    return {key for key in reached if asks_people(place.graph.nodes[key])}
