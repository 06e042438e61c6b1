"""The questions that the engine itself asks: what to do at a limit, and what became of a call.

They are no approvals: nobody seals a payload, and those decide who operate the flow. Two choices need somebody else than the person
who started the run: raising a limit above the flow's own, and having a call repeated that may have happened already.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right
from flows.engine.schemas import value_problems
from flows.models import Request, Run
from flows.runs.actions.change_budget import raise_budget, require_budgets
from flows.runs.limits import choose, in_words, refuse_too_low, require_raise, set_limits, shown

ASKED_OF = {"budget": Right.CONTROL_RUNS, "unknown": Right.CONTROL_RUNS}
"""The right that lets somebody decide on requests of these kinds."""

LABELS = {
    "raise": "Raise the limit",
    "cheaper": "Only cheaper models",
    "finish": "Finish with what there is",
    "stop": "Stop the run",
    "happened": "It happened",
    "repeat": "Do it again",
    "fail": "Let the step fail",
}
FOLLOWS = {
    "raise": "the calls that found no room begin, within the new limit",
    "cheaper": "from now on only cheaper candidates of a route are called; where none fits, the run stops",
    "finish": "nothing new begins; the run ends with its output from what there is, and steps that have not run count as null",
    "stop": "the run ends as stopped by budget; raising the limit later lets it go on",
    "happened": "the step succeeds with the result that you enter; nothing is sent again",
    "repeat": "the same call is sent again with the same key; if it did happen, it happens twice",
    "fail": "the step fails as unknown_outcome; its error edge or on_error applies",
}
DECIDED = {
    "raise": "Limit raised",
    "cheaper": "Only cheaper models",
    "finish": "Finished with what there was",
    "stop": "Stopped",
    "happened": "It happened",
    "repeat": "Done again",
    "fail": "The step failed",
}


def is_question(request: Request) -> bool:
    return request.kind in ASKED_OF


def may_answer(actor: Actor, request: Request) -> bool:
    """Whether this person operates the flow that asks."""
    team = request.run.flow.team_id if request.run is not None else None
    return actor.holdings.allow(ASKED_OF[request.kind], team)


def hides_figures(actor: Actor, request: Request) -> bool:
    """Whether what is asked is about money, which this actor may not see."""
    flow = request.asking_flow
    return request.kind == "budget" and not actor.may(Right.SEE_COSTS, flow.team_id if flow is not None else None)


def require_choice(actor: Actor, request: Request, outcome: str, value: Any) -> None:
    """Passes if the actor may choose this. Raises `Forbidden`, or `AboveCeiling` for a limit above the flow's own."""
    run = request.run
    if run is None:
        return
    own = actor.person is not None and run.started_by_id == actor.person.id
    if outcome == "repeat" and own:
        raise Forbidden(
            Right.CONTROL_RUNS,
            "You started this run: that its call is repeated, which may have happened already, is another's to decide.",
        )
    if outcome == "raise":
        limit = asked_limit(request)
        which = limit["which"]
        if limit["of"] == "budget":
            require_budgets(actor)
            return
        ceiling = {which: _amount(which, limit["amount"])} if limit["of"] == "step" else None
        require_raise(actor, run, {which: _amount(which, value["limit"])}, ceiling)


def why_not(actor: Actor, request: Request, outcome: str) -> str:
    """Why the actor may not choose this whatever is entered; empty where it may be chosen."""
    value = None
    if outcome == "raise":
        limit = asked_limit(request)
        least = Decimal("0.0000000001") if limit["which"] == "cost" else 1
        value = {"limit": _amount(limit["which"], limit["amount"]) + least}
    try:
        require_choice(actor, request, outcome, value)
    except Forbidden as refusal:
        return refusal.message
    return ""


def value_of(request: Request, outcome: str, given: Any) -> Any:
    """What is kept as the answer: ``{limit}`` for a raise, ``{result}`` for what happened, None for the rest. Raises `Invalid`."""
    if outcome == "raise":
        return {"limit": _checked_limit(request, given)}
    if outcome == "happened":
        return {"result": _checked_result(request, given)}
    if given is not None:
        raise Invalid(
            "This choice takes no payload.", problems=[Fault("payload", f"is not used by {outcome!r}", "Leave it out.")]
        )
    return None


def asked_limit(request: Request) -> dict[str, Any]:
    """The limit that was reached: ``{of, which, amount}``."""
    limit: dict[str, Any] = json.loads(request.payload)["limit"]
    return limit


def _checked_limit(request: Request, given: Any) -> Any:
    limit = asked_limit(request)
    which = limit["which"]
    text = given.get("limit") if isinstance(given, Mapping) else None
    try:
        amount = _amount(which, text)
    except (InvalidOperation, ValueError, TypeError):
        mend = "Give an amount of money, such as 2.50." if which == "cost" else f"Give a whole number of {which}."
        raise _wrong("payload.limit", "is no amount" if text not in (None, "") else "is missing", mend) from None
    if amount <= _amount(which, limit["amount"]):
        raise _wrong(
            "payload.limit",
            "is not more than the limit now",
            f"Give more than {in_words(which, _amount(which, limit['amount']))}.",
        )
    return shown(amount)


def _amount(which: str, value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        raise TypeError
    if which != "cost":
        number = int(str(value))
        if not 0 <= number < 2**53:
            raise ValueError
        return number
    amount = Decimal(str(value))
    if not amount.is_finite() or not 0 <= amount < 10**12 or amount != round(amount, 10):
        raise ValueError
    return amount


def _checked_result(request: Request, given: Any) -> Any:
    if given is None:
        given = {"result": None}
    if not isinstance(given, Mapping) or set(given) != {"result"}:
        raise _wrong("payload", "is not what happened", 'Give an object such as {"result": …} with what the call gave.')
    schema = request.terms.get("result_schema")
    if schema:
        problems = value_problems(given["result"], schema, "payload.result")
        if problems:
            faults = [Fault(problem.path, problem.message, problem.mend) for problem in problems]
            raise Invalid("The result is not of the form that the tool gives.", problems=faults)
    return given["result"]


def _wrong(place: str, message: str, mend: str) -> Invalid:
    return Invalid("The answer cannot be accepted.", problems=[Fault(place, message, mend)])


def carry_out(actor: Actor, run: Run, request: Request, outcome: str, value: Any) -> None:
    """What the choice changes of the run, whose row is locked, in the transaction of the decision."""
    if request.kind != "budget" or request.path:
        return  # a step's own limit, and what became of a call: the engine reads the answer
    if outcome == "raise" and "budget" in request.terms:
        which = asked_limit(request)["which"]
        why = f"run #{run.number} asked for room"
        raise_budget(actor, UUID(request.terms["budget"]), which, _amount(which, value["limit"]), why)
    elif outcome == "raise":
        which = asked_limit(request)["which"]
        wanted = {which: _amount(which, value["limit"])}
        refuse_too_low(run, wanted)
        record_change(
            actor, "run.raise_limits", "run", run.public_id, {"limits": set_limits(run, wanted), "reason": "asked at the limit"}
        )
    else:
        before = run.at_limit
        choose(run, outcome)
        record_change(actor, "run.choose_at_limit", "run", run.public_id, {"from": before, "to": outcome})
