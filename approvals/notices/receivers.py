"""Who hears of a request: those who may decide on it now."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from approvals.models import Delegation
from approvals.policies.reach import DECIDING
from approvals.questions import ASKED_OF, is_question
from approvals.rules import addressed
from approvals.standing import could_decide
from flows.access.rights import INCLUDES, INSTALLATION, Right
from flows.models import Person, Request

MOST = 200


def holders_of(right: Right, team: UUID | None = None) -> list[Person]:
    """Those who hold a right for what belongs to this team (None: to everybody); at most 200."""
    roles = [role for role, rights in INCLUDES.items() if right in rights]
    where = Q(memberships__role__in=roles, memberships__team__isnull=True)
    if right not in INSTALLATION:
        where |= Q(memberships__role__in=roles) if team is None else Q(memberships__role__in=roles, memberships__team=team)
    return list(Person.objects.filter(where, is_active=True).distinct()[:MOST])


def deciders_of(request: Request) -> list[Person]:
    """Those who may decide, and those to whom one of them has handed everything over; at most 200."""
    people, teams = addressed(request)
    flow = request.asking_flow
    roles = (
        sorted(role for role, rights in INCLUDES.items() if ASKED_OF[request.kind] in rights)
        if is_question(request)
        else DECIDING
    )
    where = Q(memberships__role__in=roles, memberships__team__isnull=True)
    if not is_question(request) and (people or teams):
        named = Q(username__in=people) | Q(memberships__role__in=roles, memberships__team__slug__in=teams)
        where = named | (where if teams else Q(pk__in=[]))
    elif flow is not None and flow.team_id is not None:
        where |= Q(memberships__role__in=roles, memberships__team=flow.team_id)
    else:
        where |= Q(memberships__role__in=roles)
    found = [person for person in Person.objects.filter(where, is_active=True).distinct()[:MOST] if could_decide(person, request)]
    away = Delegation.objects.filter(giver__in=found, request__isnull=True, ended_at__isnull=True).select_related("taker")
    takers = [each.taker for each in away if each.taker not in found]
    return list(dict.fromkeys([*found, *takers]))
