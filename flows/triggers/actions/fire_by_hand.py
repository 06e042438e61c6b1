"""Firing a trigger by hand: now, or again with what was delivered before."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Invalid
from flows.access.rights import Right, require
from flows.engine.expressions import ExpressionError
from flows.models import Firing, Run, Trigger
from flows.models.identifiers import new_id
from flows.triggers.clock import database_now
from flows.triggers.firing import start_for
from flows.triggers.settings import mapped_input


class NoSample(Conflict):
    """This webhook has no sample to run with. Enter one, or take over a delivery."""

    slug = "no-sample"


class NothingDelivered(Conflict):
    """Nothing was delivered with this, so it cannot be used again."""

    slug = "nothing-delivered"


def fire_now(actor: Actor, trigger: Trigger) -> Run:
    """A run as the trigger would start it, with the schedule's input or the webhook's sample, in this person's name. It works while
    the trigger is paused. Raises `Forbidden`, `NoSample`, `Invalid`, and what `start_run` raises."""
    require(actor, Right.START_RUNS, trigger.flow)
    mark = f"now:{new_id().hex}"
    if trigger.kind == "schedule":
        return _fire(actor, trigger, mark, trigger.settings["input"])
    sample = trigger.settings["sample"]
    if sample is None:
        raise NoSample
    return _fire(actor, trigger, mark, _mapped(trigger, sample, mark), body=json.dumps(sample, ensure_ascii=False))


def replay_delivery(actor: Actor, trigger: Trigger, firing: Firing) -> Run:
    """A new run with what was delivered then, through the mapping as it is now. Raises as `fire_now`, and `NothingDelivered`."""
    require(actor, Right.START_RUNS, trigger.flow)
    mark = f"replay:{new_id().hex}"
    return _fire(actor, trigger, mark, _mapped(trigger, body_of(firing), mark), body=firing.body, replay_of=firing)


def body_of(firing: Firing) -> Any:
    """The JSON that was delivered. Raises `NothingDelivered`."""
    try:
        return json.loads(firing.body)
    except ValueError:
        raise NothingDelivered from None


def _fire(actor: Actor, trigger: Trigger, mark: str, wanted: Any, **fields: Any) -> Run:
    with transaction.atomic():
        run = start_for(trigger, mark, wanted, actor)
        firing = Firing.objects.create(trigger=trigger, mark=mark, outcome="started", run=run, **fields)
        data = {"flow": trigger.flow.slug, "name": trigger.name, "run": run.public_id, "firing": firing.public_id}
        record_change(actor, "trigger.replay" if firing.replay_of_id else "trigger.fire", "trigger", trigger.public_id, data)
    return run


def _mapped(trigger: Trigger, body: Any, mark: str) -> Any:
    try:
        return mapped_input(trigger.settings, body, mark, database_now().isoformat())
    except ExpressionError as error:
        raise Invalid("The mapping does not fit this body.", problems=[Fault("mapping", str(error))]) from None
