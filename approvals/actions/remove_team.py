"""Removing a team, and giving what belongs to it to another one, in one act."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from approvals.models import Policy
from flows.access.actions.invite_person import withdraw_invitation
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.changes import tell_rights_changed
from flows.access.refusals import Conflict, Fault
from flows.access.rights import Right, require
from flows.access.versions import documents_of
from flows.engine.states import OPEN_REQUEST_STATES, TERMINAL_STATES
from flows.models import Budget, Flow, Invitation, KnowledgeBase, Membership, Request, Run, Team


class TeamInUse(Conflict):
    """Something still names this team. Change it first."""

    slug = "team-in-use"


def remove_team(actor: Actor, team: Team, to: Team | None = None) -> dict[str, int]:
    """The team is gone: its flows and knowledge bases belong to the team `to`, or to everybody; the roles that were held in it end, and
    invitations into it are withdrawn. Gives how many there were of each.

    Raises `Forbidden`, and `TeamInUse` naming what still speaks of it: open requests, policies, published flows that ask it, budgets,
    and flows with runs that have not ended, whose people would change under them.
    """
    require(actor, Right.MANAGE_PEOPLE)
    with transaction.atomic():
        team = Team.objects.select_for_update().get(id=team.id)
        problems = list(uses_of(team))
        if to is not None and to.id == team.id:
            problems.append(Fault("to", "is the team itself", "Name another one."))
        if problems:
            raise TeamInUse(problems=problems)
        flows = list(Flow.objects.filter(team=team).values_list("slug", flat=True))
        bases = KnowledgeBase.objects.filter(team=team).update(team=to)
        Flow.objects.filter(team=team).update(team=to)
        held = list(Membership.objects.filter(team=team).select_related("person"))
        roles = [f"{each.person.username}: {each.role}" for each in held]
        withdrawn = _withdraw_invitations(actor, team)
        facts: dict[str, Any] = {"to": to.slug if to is not None else "everybody", "flows": flows, "roles": roles}
        record_change(actor, "team.remove", "team", team.slug, facts | {"bases": bases, "invitations": withdrawn})
        people = {each.person_id for each in held}
        team.delete()
        for person in people:
            tell_rights_changed(person)
    return {"flows": len(flows), "bases": bases, "roles": len(roles), "invitations": withdrawn}


def uses_of(team: Team) -> Iterator[Fault]:
    """What still names the team and would be wrong without it."""
    asked = Request.objects.filter(state__in=sorted(OPEN_REQUEST_STATES), terms__approvers__teams__contains=[team.slug])
    if count := asked.count():
        yield Fault("requests", f"{count} open request{'s ask' if count != 1 else ' asks'} it", "Decide or reassign them.")
    going = Run.objects.filter(flow__team=team).exclude(status__in=sorted(TERMINAL_STATES))
    if count := going.count():
        yield Fault(
            "runs", f"{count} run{'s' if count != 1 else ''} of its flows {'have' if count != 1 else 'has'} not ended", "Wait."
        )
    for policy in Policy.objects.filter(current__isnull=False, retired_at=None).select_related("current"):
        if _names(policy.rules, team.slug):
            yield Fault("policies", f"the policy {policy.slug} names it", "Save the policy without it.")
    published = dict(Flow.objects.filter(published__isnull=False, archived_at=None).values_list("published_id", "slug"))
    for version, document in documents_of(published).items():
        if _names(document.as_json()["steps"], team.slug):
            yield Fault("flows", f"the published flow {published[version]} asks it", "Publish the flow without it.")
    for budget in Budget.objects.filter(scope="team", subject=team.slug):
        yield Fault("budgets", f"a budget of a {budget.period} is its", "Remove the budget.")


def _names(value: Any, slug: str) -> bool:
    """Whether this team stands in any list called `teams`."""
    if isinstance(value, dict):
        return slug in (value.get("teams") or ()) or any(_names(each, slug) for each in value.values())
    return isinstance(value, list) and any(_names(each, slug) for each in value)


def _withdraw_invitations(actor: Actor, team: Team) -> int:
    found = Invitation.objects.filter(accepted_at=None, withdrawn_at=None, roles__contains=[{"team": team.slug}])
    for each in found:
        withdraw_invitation(actor, each)
    return len(found)
