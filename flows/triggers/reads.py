"""Triggers as people look at them, and why one does nothing."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Count, QuerySet

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import NotFound
from flows.access.rights import Right, may
from flows.models import Firing, Trigger
from flows.models.identifiers import UnknownIdentifier, parsed
from flows.triggers.schedules import Schedule, read_schedule

SHOWN = 50  # firings of a trigger that are kept and shown
MOST = 500  # triggers of one list


def triggers_for(actor: Actor) -> QuerySet[Trigger]:
    """The triggers of the flows that one may see, each with what tells whether it is active."""
    flows = flows_for(actor)
    found = Trigger.objects.filter(flow__in=flows).select_related("flow__team", "flow__paused_by", "owner", "paused_by")
    return found.defer("flow__draft", "flow__replaced_draft").order_by("name", "id")


def triggers_listed(actor: Actor, kind: str = "", flow: str = "") -> list[Trigger]:
    """At most `MOST` triggers by name, narrowed to a kind and a flow."""
    found = triggers_for(actor)
    if kind:
        found = found.filter(kind=kind)
    if flow:
        found = found.filter(flow__slug=flow.replace("\x00", "")[:80])
    return list(found[:MOST])


def trigger_named(actor: Actor, public_id: str) -> Trigger:
    """The trigger of this public identifier. Raises `NotFound`."""
    found = triggers_for(actor).filter(id=_uuid("trg", public_id, "trigger")).first()
    if found is None:
        raise NotFound("trigger")
    return found


def firing_named(trigger: Trigger, public_id: str) -> Firing:
    """The firing of this trigger. Raises `NotFound`."""
    found = Firing.objects.filter(trigger=trigger, id=_uuid("fir", public_id, "firing")).first()
    if found is None:
        raise NotFound("firing")
    return found


def firings_of(trigger: Trigger, most: int = SHOWN) -> list[Firing]:
    """The newest firings first, with the run of each."""
    found = Firing.objects.filter(trigger=trigger).select_related("run__flow", "replay_of").order_by("-id")
    return list(found.defer("run__input", "run__output", "run__flow__draft")[:most])


def outcomes_of(triggers: Iterable[Trigger]) -> dict[UUID, dict[str, int]]:
    """How the kept firings of each trigger went: outcome → number. One query."""
    counted = (
        Firing.objects.filter(trigger__in=list(triggers)).order_by().values_list("trigger", "outcome").annotate(n=Count("id"))
    )
    outcomes: dict[UUID, dict[str, int]] = {}
    for trigger, outcome, number in counted:
        outcomes.setdefault(trigger, {})[outcome] = number
    return outcomes


def schedule_of(trigger: Trigger) -> Schedule:
    return read_schedule(trigger.settings["cron"], trigger.settings["zone"])


def why_inactive(trigger: Trigger) -> str:
    """Why a trigger starts nothing now, as a sentence; empty where it does."""
    flow = trigger.flow
    if trigger.paused_at is not None:
        return f"Paused by {trigger.paused_by}." if trigger.paused_by is not None else "Paused."
    if flow.archived_at is not None:
        return "Its flow is archived. Restore it on its page."
    if flow.published_id is None:
        return "Its flow is not published. Publish it first."
    if flow.paused_at is not None:
        return f"Its flow is paused{f' by {flow.paused_by}' if flow.paused_by is not None else ''}. Resume it on its page."
    if not may(trigger.owner, Right.START_RUNS, flow.team_id):
        return f"{trigger.owner}, in whose name it starts runs, may no longer start them. Save it in your own name."
    return ""


def _uuid(prefix: str, public_id: str, what: str) -> UUID:
    try:
        return parsed(prefix, public_id)
    except UnknownIdentifier:
        raise NotFound(what) from None
