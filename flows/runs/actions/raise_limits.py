"""Raising the limits of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require_scope
from flows.engine.states import OPEN_REQUEST_STATES, TERMINAL_STATES
from flows.execution.moves import announce, append_event, lock_run, signal
from flows.execution.passes import begin_pass
from flows.execution.requests import answer
from flows.models import Request, Run
from flows.runs.actions.cancel_run import RunEnded
from flows.runs.courses import course_of
from flows.runs.limits import limits_given, refuse_too_low, require_raise, set_limits, shown, wanted_of

LONGEST_REASON = 1000  # characters


def raise_limits(actor: Actor, run: Run, limits: Mapping[str, Any], *, reason: str = "") -> Run:
    """Raises limits of a run: `cost`, `tokens`, `steps`, `duration`, written as in the document.

    A run that works takes them up at once; one that asks what to do at its limit is answered by it; one that a limit has stopped
    goes on in a new pass where it stopped. Raises `NotFound`, `Forbidden`, `AboveCeiling`, `Invalid` naming each limit that cannot
    be raised so, and `RunEnded` where the run ended in another way. Gives the run as it is afterwards.
    """
    if not actor.holdings.allow(Right.SEE_RUNS, run.flow.team_id):
        raise NotFound
    require_scope(actor, Right.RAISE_LIMITS)
    wanted = _wanted(limits)
    if len(reason) > LONGEST_REASON:
        fault = Fault("reason", f"has {len(reason)} characters", f"At most {LONGEST_REASON} are kept; shorten it.")
        raise Invalid("The reason is too long.", problems=[fault])
    with transaction.atomic():
        run = lock_run(run.id)
        require_raise(actor, run, wanted)
        if run.status in TERMINAL_STATES and run.status != "budget_stopped":
            raise RunEnded(run)
        _refuse_unless_it_helps(run, wanted)
        refuse_too_low(run, wanted)
        changed = set_limits(run, wanted)
        stopped = run.status == "budget_stopped"
        if stopped:  # before the event, which belongs to the new pass: nothing comes after a pass's end
            begin_pass(run, actor, course_of(run), verb="limits")
        append_event(run, "run.limits_raised", data={"by": actor.name, "door": actor.door, **_flat(changed)})
        record_change(actor, "run.raise_limits", "run", run.public_id, {"limits": changed, "reason": reason})
        if not stopped and not _answered(actor, run, wanted):
            signal(run)
            announce(run)
    return run


def _wanted(limits: Mapping[str, Any]) -> dict[str, Any]:
    given = limits_given({name: value for name, value in limits.items() if value is not None})
    wanted = wanted_of(given)
    if "at_limit" in given.model_fields_set or not wanted:
        raise Invalid(
            "No limit is named.",
            problems=[Fault("limits", "names nothing to raise", "Give `cost`, `tokens`, `steps` or `duration`.")],
        )
    return wanted


def _refuse_unless_it_helps(run: Run, wanted: Mapping[str, Any]) -> None:
    """A run that its cost has stopped is not helped by more tokens: it would stop again at once."""
    if run.status == "budget_stopped" and run.reason in {"cost", "tokens", "steps"} and run.reason not in wanted:
        fault = Fault(
            run.reason, f"this limit stopped the run, and it is {shown(getattr(run, f'cap_{run.reason}'))}", "Raise it, too."
        )
        raise Invalid("The run would stop again at once.", problems=[fault])


def _answered(actor: Actor, run: Run, wanted: Mapping[str, Any]) -> bool:
    """Whether the run asked for just this: then its question is answered, which wakes it."""
    asked = Request.objects.filter(
        run=run, pass_number=run.pass_number, kind="budget", path="", state__in=sorted(OPEN_REQUEST_STATES)
    ).first()
    if asked is None:
        return False
    which = asked.terms["which"]
    if which not in wanted:
        return False
    payload = {"limit": shown(wanted[which])}
    answer(asked.id, revision=asked.revision, state="approved", outcome="raise", payload=payload, by=actor.person)
    return True


def _flat(changed: Mapping[str, Any]) -> dict[str, Any]:
    return {which: each["to"] for which, each in changed.items()}
