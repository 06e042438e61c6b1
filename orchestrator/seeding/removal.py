"""Removing the demonstration: exactly what was brought, and nothing that people made. The audit log keeps what was done."""

from __future__ import annotations

from django.db import transaction
from django.db.models import ProtectedError

from approvals.models import Docket, Policy, PolicyVersion, View, Vote
from flows.access.actions.deactivate_person import deactivate_person
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Refusal
from flows.access.rights import Right, require
from flows.costs.folding import fold_everything, forget_sums
from flows.models import (
    AllowedHost,
    Budget,
    Filling,
    Firing,
    Flow,
    FlowVersion,
    KnowledgeBase,
    ModelEntry,
    Person,
    Pin,
    Price,
    Request,
    Route,
    RouteVersion,
    Seeded,
    Team,
    ToolEntry,
    Trigger,
)
from orchestrator.seeding.cast import Progress
from orchestrator.seeding.leaving import Leaving, leaving
from orchestrator.seeding.marks import mark
from orchestrator.seeding.runs import AT_ONCE, remove_runs


def preview_removal(actor: Actor) -> Leaving:
    """What `remove_demonstration` would do now. Raises `Forbidden`."""
    require(actor, Right.MANAGE_SETTINGS)
    return leaving(actor.person)


def remove_demonstration(actor: Actor, progress: Progress | None = None) -> Leaving:
    """Removes what the demonstration brought, and tells what went and what stays. An account that the audit log names is deactivated.
    Where it was interrupted it goes on when it is called again. Raises `Forbidden`."""
    found = preview_removal(actor)
    runs = found.going["run"]
    mark("run", runs)  # the database lets nothing but what is marked go
    for first in range(0, len(runs), AT_ONCE):
        remove_runs(runs[first : first + AT_ONCE])
        if progress is not None:
            progress("runs", min(first + AT_ONCE, len(runs)), len(runs))
    forget_sums()
    with transaction.atomic():
        _remove_rest(found.going)
        for name in found.going.get("person", []):
            _remove_person(actor, Person.objects.get(username=name), found)
        Filling.objects.all().delete()
        Seeded.objects.all().delete()
        counts = {kind: len(keys) for kind, keys in found.going.items()}
        stays = [what for what, _ in found.staying]
        record_change(actor, "demonstration.remove", "installation", "demonstration", {"removed": counts, "stays": stays})
    fold_everything()
    return found


def _remove_rest(going: dict[str, list[str]]) -> None:
    """All but runs and people, what refers to others first."""
    Firing.objects.filter(trigger_id__in=going.get("trigger", [])).delete()
    Trigger.objects.filter(id__in=going.get("trigger", [])).delete()
    flows = Flow.objects.filter(id__in=going.get("flow", []))
    requests = Request.objects.filter(flow__in=flows)
    for of_request in (Vote, View, Docket):
        of_request.objects.filter(request__in=requests).delete()
    requests.delete()
    Pin.objects.filter(flow__in=flows).delete()
    flows.update(published=None)
    FlowVersion.objects.filter(flow__in=flows).delete()
    flows.delete()
    policies = Policy.objects.filter(slug__in=going.get("policy", []))
    policies.update(current=None)
    PolicyVersion.objects.filter(policy__in=policies).delete()
    policies.delete()
    KnowledgeBase.objects.filter(slug__in=going.get("base", [])).delete()
    Budget.objects.filter(id__in=going.get("budget", [])).delete()
    RouteVersion.objects.filter(route__in=going.get("route", [])).delete()
    Route.objects.filter(slug__in=going.get("route", [])).delete()
    Price.objects.filter(id__in=going.get("price", [])).delete()
    ToolEntry.objects.filter(slug__in=going.get("tool", [])).delete()
    AllowedHost.objects.filter(host__in=going.get("host", [])).delete()
    for name in going.get("model", []):
        _delete(ModelEntry.objects.get(slug=name))
    for name in going.get("team", []):
        _delete(Team.objects.get(slug=name))


def _remove_person(actor: Actor, person: Person, found: Leaving) -> None:
    """Removes the account; where something stays that names it, shuts it out."""
    if _delete(person):
        return
    try:
        deactivate_person(actor, person)
    except Refusal as refusal:
        found.going["person"].remove(person.username)
        found.stay("person", person.username, refusal.problems[0].message if refusal.problems else refusal.message)


def _delete(row: Person | Team | ModelEntry) -> bool:
    """Whether nothing that stays holds on to it."""
    try:
        with transaction.atomic():
            row.delete()
    except ProtectedError:
        return False
    return True
