"""The inbox: what waits for whom. Badge, list and API count through the same queries."""

from __future__ import annotations

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from approvals.models import Vote
from approvals.questions import ASKED_OF
from flows.access.actor import Actor
from flows.access.querysets import addressed_to, belonging, requests_for
from flows.access.rights import Right
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Intervention, Request, RunPass

BOXES = ("mine", "team", "all", "done")

_open = Q(state__in=sorted(OPEN_REQUEST_STATES))
_names_nobody = Q(terms__approvers__people__0__isnull=True, terms__approvers__teams__0__isnull=True)


def requests_in(actor: Actor, box: str) -> QuerySet[Request]:
    """The requests of one box, newest first, with what a list shows of their runs.

    `mine`: open, and the actor may decide now. `team`: open, and the actor's teams may. `all`: open and visible. `done`: closed
    and visible.
    """
    found = requests_for(actor).select_related("run__flow", "flow", "decided_by").order_by("-id")
    if box == "done":
        return found.exclude(_open)
    found = found.filter(_open)
    if box == "all":
        return found
    person = actor.person
    if person is None:
        return found if box == "team" else found.none()
    of_flows = Q(run__isnull=False) & belonging(actor.holdings, Right.DECIDE, "run__flow__")
    of_flows |= Q(flow__isnull=False) & belonging(actor.holdings, Right.DECIDE, "flow__")
    questions = Q(kind__in=sorted(ASKED_OF))
    operated = questions & belonging(actor.holdings, Right.CONTROL_RUNS, "run__flow__")
    deciding = (~questions & (addressed_to(person, actor.holdings) | (_names_nobody & of_flows))) | operated
    if box == "team":
        teams = list(actor.holdings.by_team)
        slugs = list(actor.holdings.team_slugs.values())
        of_my_teams = Q(run__flow__team__in=teams) | Q(flow__team__in=teams) | Q(terms__approvers__teams__has_any_keys=slugs)
        return found.filter(deciding | of_my_teams)
    voted = Vote.objects.filter(request=OuterRef("pk"), person=person, revision=OuterRef("revision"))
    own = ~questions & Q(run__isnull=False) & Q(run__started_by=person)
    return (
        found.filter(deciding)
        .exclude(own)
        .filter(~Exists(RunPass.objects.filter(run=OuterRef("run_id"), by=person)))
        .filter(~Exists(Intervention.objects.filter(run=OuterRef("run_id"), by=person)))
        .exclude(Q(terms__authors__isnull=False) & Q(terms__authors__contains=[person.username]))
        .filter(~Exists(voted))
    )


def by_due(requests: QuerySet[Request]) -> QuerySet[Request]:
    """The same requests, those that are due first in front, those without a deadline last."""
    return requests.order_by(F("due").asc(nulls_last=True), "id")


def waiting_for(actor: Actor) -> int:
    """How many requests wait for this person: the badge."""
    return requests_in(actor, "mine").count()
