"""Deciding many requests at once, within the limits that keep it from being a reflex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from approvals.actions.decide import decide
from approvals.rules import meaning_of
from flows.access.actor import Actor
from flows.access.querysets import requests_for
from flows.access.refusals import Fault, Invalid, Refusal
from flows.models import Request

MOST = 25


@dataclass(frozen=True, slots=True)
class Chosen:
    """One of those to decide on: the request, and the revision that the person saw."""

    id: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one of them; `refusal` says why nothing did."""

    id: UUID
    closed: bool
    refusal: Refusal | None = None


def decide_many(actor: Actor, chosen: Sequence[Chosen], outcome: str, comment: str = "") -> list[Result]:
    """Casts the same vote on each, every one a transaction and an audit row of its own; what is refused is told for each.

    Raises `Invalid` before anything is decided unless all are open, of one policy that allows it, of one tool, of low or medium risk
    and at most 25.
    """
    requests = {
        each.id: each
        for each in requests_for(actor).filter(id__in=[one.id for one in chosen]).select_related("run__flow", "flow")
    }
    refuse_unless_alike([requests[one.id] for one in chosen if one.id in requests], asked_for=len(chosen))
    meaning_of(next(iter(requests.values())), outcome)
    results = []
    for one in chosen:
        try:
            decision = decide(actor, one.id, outcome, one.revision, comment=comment)
        except Refusal as refusal:
            results.append(Result(one.id, False, refusal))
        else:
            results.append(Result(one.id, decision.closed))
    return results


def refuse_unless_alike(requests: Sequence[Request], asked_for: int | None = None) -> None:
    """Raises `Invalid` that says why these cannot be decided together."""
    why = _why_not(requests)
    if asked_for is not None and asked_for != len(requests):
        why = why or "one of them does not exist, or you may not see it"
    if why:
        raise Invalid(f"These cannot be decided together: {why}.", problems=[Fault("items", why, "Decide them one by one.")])


def _why_not(requests: Sequence[Request]) -> str:
    if not requests:
        return "none is chosen"
    if len(requests) > MOST:
        return f"{len(requests)} are chosen, and at most {MOST} may be"
    if any(risk_of(each) == "high" for each in requests):
        return "one is of high risk"
    first = requests[0].terms
    if any(each.terms.get("policy") != first.get("policy") for each in requests) or not first.get("policy"):
        return "they are not asked by one policy"
    if any(each.terms.get("tool") != first.get("tool") for each in requests):
        return "they are calls of different tools"
    if any(each.terms.get("outcomes") != first.get("outcomes") for each in requests):
        return "they have different outcomes"
    if not all(each.terms.get("bulk") for each in requests):
        return f"the policy {first['policy']} does not allow it"
    if any(each.terms.get("confirm") for each in requests):
        return "a value has to be typed for each"
    return ""


def risk_of(request: Request) -> str:
    """low, medium or high: as the policy says, else medium."""
    risk = request.terms.get("risk")
    return risk if risk in ("low", "medium", "high") else "medium"
