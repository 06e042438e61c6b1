"""Delivering a named event to a run."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import Right, require
from flows.engine.canonical import canonical, storable
from flows.engine.states import TERMINAL_STATES
from flows.execution.moves import announce, append_event, lock_run, signal
from flows.models import Delivery, Run
from flows.runs.actions.cancel_run import RunEnded

LONGEST_NAME = 120


class DeliveryKeyReused(Conflict):
    """This key has delivered another event to this run."""

    slug = "key-reused"


def deliver_event(actor: Actor, run: Run, event: str, payload: Any = None, key: str | None = None) -> Delivery:
    """Keeps the event for the run and wakes it; one that comes before the run waits for it is kept until it does.

    The same `key` delivers once: the second time gives the first delivery. Raises `NotFound`, `Forbidden`, `Invalid`, `RunEnded`,
    `DeliveryKeyReused`.
    """
    require(actor, Right.CONTROL_RUNS, run)
    text = _checked(event, payload, key)
    with transaction.atomic():
        run = lock_run(run.id)
        known = Delivery.objects.filter(run=run, key=key).first() if key is not None else None
        if known is not None:
            if known.event != event or known.payload != text:
                raise DeliveryKeyReused
            return known
        if run.status in TERMINAL_STATES:
            raise RunEnded(run)
        delivery = Delivery.objects.create(run=run, event=event, payload=text, key=key)
        signal(run)
        append_event(run, "event.delivered", data={"event": event, "by": actor.name, "run_state": run.status})
        record_change(actor, "run.deliver", "run", run.public_id, {"event": event, "key": key})
        announce(run)
    return delivery


def _checked(event: str, payload: Any, key: str | None) -> str:
    problems = []
    if not event or len(event) > LONGEST_NAME or not event.isprintable():
        problems.append(Fault("event", "is no name of an event", f"Use 1 to {LONGEST_NAME} printable characters."))
    if key is not None and (not key or len(key) > 200 or not key.isprintable()):
        problems.append(Fault("key", "cannot be used", "Use 1 to 200 printable characters."))
    text = ""
    try:
        text = canonical(storable(payload))
    except ValueError as error:
        problems.append(Fault("payload", str(error)))
    if problems:
        raise Invalid("The event cannot be delivered.", problems=problems)
    return text
