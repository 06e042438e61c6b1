"""Making a trigger, and changing what it is set to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.querysets import flows_for
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid, NotFound
from flows.access.rights import Right, require
from flows.models import Flow, Trigger
from flows.triggers.clock import database_now
from flows.triggers.reads import schedule_of
from flows.triggers.secrets import new_salt, secret_of
from flows.triggers.settings import DEFAULTS, checked_settings

LONGEST_NAME = 160
MOST_OF_A_FLOW = 50


class TooManyTriggers(Conflict):
    """This flow has as many triggers as a flow may have. Remove one first."""

    slug = "too-many-triggers"


def create_trigger(actor: Actor, slug: str, kind: str, name: str, given: Mapping[str, Any]) -> tuple[Trigger, str]:
    """A new trigger of the flow, set to `given` (`flows/triggers/settings.py` says what there is), and, of a webhook, its secret,
    which is shown this once.

    Its runs start in the name of the person who saves it. It takes the rights to edit the flow and to start runs. Raises `NotFound`,
    `Forbidden`, `TooManyTriggers`, and `Invalid` naming each place.
    """
    flow = flows_for(actor).filter(slug=slug.replace("\x00", "")[:80]).select_related("team").first()
    if flow is None:
        raise NotFound(f"flow {slug[:80]!r}")
    person = _may_save(actor, flow)
    faults = _name_faults(name)
    if kind not in DEFAULTS:
        faults.append(Fault("kind", "is no kind of trigger", f"Choose of {', '.join(DEFAULTS)}."))
    settings = checked_settings(flow, kind, given, {}, faults) if kind in DEFAULTS else {}
    if faults:
        raise Invalid("The trigger cannot be saved.", problems=faults)
    with transaction.atomic():
        if Trigger.objects.filter(flow=flow).count() >= MOST_OF_A_FLOW:
            raise TooManyTriggers
        trigger = Trigger(flow=flow, kind=kind, name=name.strip(), settings=settings, owner=person, created_by=person)
        if kind == "webhook":
            trigger.salt = new_salt()
        else:
            trigger.next_fire_at = schedule_of(trigger).next_after(database_now())
        trigger.save()
        data = {"flow": flow.slug, "kind": kind, "name": trigger.name, "after": settings}
        record_change(actor, "trigger.create", "trigger", trigger.public_id, data)
    return trigger, secret_of(trigger) if kind == "webhook" else ""


def change_trigger(actor: Actor, trigger: Trigger, given: Mapping[str, Any], name: str | None = None) -> Trigger:
    """Sets what `given` names and leaves the rest; from now on its runs start in this person's name. Raises `Forbidden`, `Invalid`."""
    person = _may_save(actor, trigger.flow)
    faults = _name_faults(name) if name is not None else []
    with transaction.atomic():
        locked = Trigger.objects.select_for_update(of=("self",)).select_related("flow", "owner").get(id=trigger.id)
        before = {"name": locked.name, "owner": locked.owner.username, **locked.settings}
        locked.settings = checked_settings(locked.flow, locked.kind, given, locked.settings, faults)
        if faults:
            raise Invalid("The trigger cannot be saved.", problems=faults)
        locked.name, locked.owner, locked.changed_at = (name or locked.name).strip(), person, Now()
        if locked.kind == "schedule" and locked.paused_at is None:
            locked.next_fire_at = schedule_of(locked).next_after(database_now())
        locked.save()
        after = {"name": locked.name, "owner": person.username, **locked.settings}
        changed = {each: {"before": before.get(each), "after": after[each]} for each in after if before.get(each) != after[each]}
        if changed:
            record_change(actor, "trigger.change", "trigger", locked.public_id, {"flow": locked.flow.slug, **changed})
    locked.refresh_from_db()
    return locked


def _may_save(actor: Actor, flow: Flow) -> Any:
    require(actor, Right.EDIT_FLOWS, flow)
    require(actor, Right.START_RUNS, flow)
    if actor.person is None:
        raise Forbidden(Right.START_RUNS, "A trigger starts runs in a person's name: name one.")
    return actor.person


def _name_faults(name: str) -> list[Fault]:
    good = name.strip() and len(name) <= LONGEST_NAME and name.isprintable()
    return [] if good else [Fault("name", f"takes 1 to {LONGEST_NAME} printable characters")]
