"""What a test of the error handler's steps supposes: that a run of the flow has failed, at which step and by what."""

from __future__ import annotations

from typing import Final

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right
from flows.engine.courses import HANDLER
from flows.engine.drawing import in_order
from flows.engine.excerpt import leading_to
from flows.engine.graph import Flow as CompiledFlow
from flows.engine.kinds import Role
from flows.models import Flow
from flows.runs.progress import top_level
from flows.runs.reads import value_of
from flows.runs.testing.standins import StandIn, stand_ins_in

IN_HANDLER: Final = f"{HANDLER}."
EXAMPLE: Final = {
    "class": "unavailable",
    "message": "The service is down or cannot be reached. (An example: no run has failed yet.)",
}


def in_handler(path: str) -> bool:
    """Whether a path is one of the flow's own error handler."""
    return path.startswith(IN_HANDLER)


def supposed_failure(actor: Actor, flow: Flow, compiled: CompiledFlow) -> tuple[str, dict[str, str]]:
    """The step of the flow that is supposed to have failed, and by what: as in the newest run that failed, else the last step that
    calls something, by an example. Raises `Invalid` where the flow has no step."""
    nodes = compiled.graph.nodes
    if not nodes:
        fault = Fault("step", "the flow has no step of its own that could fail", "Add one; then this can be tested.")
        raise Invalid("The step cannot be tested.", problems=[fault])
    if actor.may(Right.SEE_RUNS, flow.team_id):
        failed = runs_for(actor).filter(flow=flow, status="failed").exclude(handling__has_key="fails")
        for run in failed.order_by("-id").only("error")[:1]:
            error = value_of(run.error) or {}
            step = top_level(str(error.get("step") or ""))
            if step in nodes:
                return step, {"class": str(error.get("class", "")), "message": str(error.get("message", ""))}
    ordered = [key for key in in_order(compiled.document) if key in nodes]
    calling = [key for key in ordered if nodes[key].role is Role.EFFECT] or ordered
    return calling[-1], dict(EXAMPLE)


def stand_ins_of_failure(
    actor: Actor, flow: Flow, compiled: CompiledFlow, failing: str, target: str | None
) -> dict[str, StandIn]:
    """A result for each step of the flow but the `failing` one, to which they lead, and, where one step of the handler is tested alone
    (`target`), for those before it."""
    nodes = compiled.graph.nodes
    before = leading_to(compiled.document.as_json(), failing) | {failing}
    own = [key for key in nodes if key != failing]
    found = stand_ins_in(actor, flow, nodes, own, before)
    if target is not None and compiled.handler is not None:
        inner = compiled.handler.nodes
        others = [key for key in inner if IN_HANDLER + key != target]
        found |= stand_ins_in(actor, flow, inner, others, set(inner), IN_HANDLER)
    return found
