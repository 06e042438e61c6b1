"""Where one step of a run stands, and what leads past people: what the verbs that act on a step must know."""

from __future__ import annotations

from collections.abc import Iterable

from flows.access.refusals import Conflict, NotFound
from flows.engine.nodes import Node
from flows.engine.paths import Place, downstream, place_of
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Attempt, Call, Request, Run
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


def place_in(run: Run, path: str) -> Place:
    """Where the path leads in the run's flow. Raises `NotFound`."""
    place = place_of(flow_of(run.version_id), path[:400])
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


def asks_people(node: Node) -> bool:
    """Whether the step, or one inside it, is an approval."""
    return node.kind.slug == "approval" or (node.body is not None and any(map(asks_people, node.body.nodes.values())))


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


def _approvals(place: Place, targets: Iterable[str]) -> set[str]:
    reached = {key for target in targets for key in (target, *downstream(place.graph, target))}
    return {key for key in reached if asks_people(place.graph.nodes[key])}
