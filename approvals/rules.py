"""Who may decide on a request, and what a decision may be. Evaluated when asked, never frozen."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from approvals.questions import is_question, may_answer
from flows.access.actor import Actor
from flows.access.masking import mask_of
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right
from flows.engine.canonical import canonical
from flows.engine.masking import NO_MASK, Mask
from flows.engine.schemas import value_problems
from flows.models import Intervention, Person, Request, RunPass

STATE_OF = {"approve": "approved", "reject": "rejected", "changes": "changes_requested"}
"""The state in which an outcome leaves its request, by what the outcome means."""


class SelfApproval(Forbidden):
    """Nobody decides on a request that they started or authored. Ask another approver."""

    slug = "self-approval"

    def __init__(self, message: str = "") -> None:
        super().__init__(Right.DECIDE, message or (type(self).__doc__ or "").strip())


def is_approver(actor: Actor, request: Request) -> bool:
    """Whether the request is addressed to this person: by name, by a team in which they decide, or, where it names nobody,
    by the team of its flow. What the engine asks is for those who operate the flow."""
    person = actor.person
    if person is None or not person.is_active:
        return False
    if is_question(request):
        return may_answer(actor, request)
    people, teams = addressed(request)
    if person.username in people:
        return True
    if teams:
        holdings = actor.holdings
        mine = {holdings.team_slugs[team] for team in holdings.teams(Right.DECIDE)}
        return Right.DECIDE in holdings.everywhere or not mine.isdisjoint(teams)
    if people:
        return False
    flow = request.asking_flow
    return actor.holdings.allow(Right.DECIDE, flow.team_id if flow is not None else None)


def is_own(person: Person, request: Request, hands: Collection[int] | None = None) -> bool:
    """Whether the person started the run that asks or one of its passes, decided about a step of it, or wrote what is to be
    decided. `hands` are the identifiers of those who did the former two, where they are known."""
    if person.username in (request.terms.get("authors") or []):
        return True
    run = request.run
    if run is None or run.started_by_id == person.id:
        return run is not None
    if hands is not None:
        return person.id in hands
    passes, steps = RunPass.objects.filter(run=run, by=person), Intervention.objects.filter(run=run, by=person)
    return passes.values("run_id").union(steps.values("run_id")).exists()


def addressed(request: Request) -> tuple[list[str], list[str]]:
    """The usernames and team slugs that the request names."""
    approvers: Mapping[str, Any] = request.terms.get("approvers") or {}
    return list(approvers.get("people") or []), list(approvers.get("teams") or [])


def wanted(request: Request) -> list[str]:
    """Those who may decide, in words."""
    people, teams = addressed(request)
    if not people and not teams:
        flow = request.asking_flow
        team = flow.team if flow is not None else None
        who = "operator" if is_question(request) else "approver"
        return [f"the {who}s of team {team.slug}" if team is not None else f"an {who}"]
    return people + [f"the approvers of team {slug}" for slug in teams]


def meaning_of(request: Request, outcome: str) -> str:
    """What an outcome means: approve | reject | changes. Raises `Invalid` naming the outcomes that there are."""
    outcomes: Mapping[str, str] = request.terms.get("outcomes") or {}
    meaning = outcomes.get(outcome)
    if meaning not in STATE_OF:
        names = ", ".join(outcomes) or "none"
        raise Invalid(
            "There is no such outcome.", problems=[Fault("outcome", f"{outcome[:60]!r} is unknown", f"Choose of: {names}.")]
        )
    return meaning


def rejecting_outcome(terms: Mapping[str, Any]) -> str | None:
    """The outcome that a deadline may give: the one that `at_deadline` names if it means reject. Never one that approves."""
    outcomes: Mapping[str, str] = terms.get("outcomes") or {}
    name = terms.get("at_deadline")
    return name if isinstance(name, str) and outcomes.get(name) == "reject" else None


def mask_of_request(request: Request) -> Mask:
    """What must not be shown of a request: what is hidden of its run."""
    return mask_of(request.run) if request.run is not None else NO_MASK


def edited_payload(request: Request, payload: Any) -> tuple[Any, list[str]]:
    """The payload as decided and the fields that the person changed. `payload` None means: as it was asked.

    Raises `Invalid` naming each field that may not be changed, or whose new value has another type than the old one or breaks the
    schema of the sealed tool's arguments. What is hidden cannot be edited; where it came back as its mask, it is as it was.
    """
    asked = json.loads(request.payload)
    if payload is None:
        return asked, []
    if not isinstance(asked, dict) or not isinstance(payload, dict):
        if canonical(asked) == canonical(payload):
            return asked, []
        raise Invalid("This payload cannot be edited.", problems=[Fault("payload", "differs from the one that was asked")])
    mask = mask_of_request(request)
    payload = mask.restored(payload, asked)
    changed = [name for name in [*asked, *(name for name in payload if name not in asked)] if _differs(asked, payload, name)]
    seen = {name for name in request.terms.get("editable") or [] if name in asked and mask.value(asked[name]) == asked[name]}
    problems = list(_edit_faults(asked, payload, changed, seen))
    if not problems and request.terms.get("arguments_schema"):
        found = value_problems(payload, request.terms["arguments_schema"], "payload")
        problems = [Fault(problem.path, problem.message, problem.mend) for problem in found]
    if problems:
        raise Invalid("The edited payload cannot be accepted.", problems=problems)
    return payload, changed


def _edit_faults(asked: dict[str, Any], payload: dict[str, Any], changed: Iterable[str], editable: set[str]) -> Iterable[Fault]:
    for name in changed:
        place = f"payload.{name}"
        if name not in editable:
            mend = f"Only these may be edited: {', '.join(sorted(editable))}." if editable else "Nothing may be edited here."
            yield Fault(place, "may not be changed", mend)
        elif name not in payload:
            yield Fault(place, "is missing", "Send every field; an edit gives another value.")
        elif name in asked and asked[name] is not None and json_type(asked[name]) != json_type(payload[name]):
            yield Fault(place, f"is a {json_type(payload[name])}", f"It must stay a {json_type(asked[name])}.")


def _differs(asked: dict[str, Any], payload: dict[str, Any], name: str) -> bool:
    return (name in asked) != (name in payload) or canonical(asked[name]) != canonical(payload[name])


def json_type(value: Any) -> str:
    """The type of a JSON value, in the words of JSON Schema; whole numbers are numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
