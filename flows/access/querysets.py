"""What somebody may see. Everything that is shown or acted on is fetched through these; what is not in them does not exist."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from flows.access.actor import Actor
from flows.access.rights import Holdings, Right, holdings_of
from flows.models import Flow, Person, Request, Run
from flows.models.identifiers import first_id

Viewer = Person | Actor

CLOCKS_DIFFER = timedelta(minutes=5)  # between the machine that makes an identifier and the database


def flows_for(viewer: Viewer) -> QuerySet[Flow]:
    return Flow.objects.filter(belonging(_holdings(viewer), Right.SEE_FLOWS))


def runs_for(viewer: Viewer) -> QuerySet[Run]:
    return Run.objects.filter(belonging(_holdings(viewer), Right.SEE_RUNS, "flow__"))


def made_since(moment: datetime) -> Q:
    """The condition that a row was made then or later. Identifiers begin with the time, so the index on them finds the place."""
    return Q(created_at__gte=moment, id__gte=first_id(moment - CLOCKS_DIFFER))


def made_before(moment: datetime) -> Q:
    """The condition that a row was made earlier."""
    return Q(created_at__lt=moment, id__lt=first_id(moment + CLOCKS_DIFFER))


def requests_for(viewer: Viewer) -> QuerySet[Request]:
    """The requests of the runs and flows that somebody may see, and those that name them, or a team in which they decide. What a
    test asks is nobody's but the tester's."""
    holdings = _holdings(viewer)
    seen = Q(run__isnull=False) & belonging(holdings, Right.SEE_REQUESTS, "run__flow__")
    seen |= Q(flow__isnull=False) & belonging(holdings, Right.SEE_REQUESTS, "flow__")
    if Right.SEE_REQUESTS in holdings.everywhere:
        seen |= Q(run__isnull=True)
    person = viewer.person if isinstance(viewer, Actor) else viewer
    if person is not None and person.is_active:
        seen |= addressed_to(person, holdings)
    return Request.objects.filter(seen).exclude(kind="test")


def belonging(holdings: Holdings, right: Right, prefix: str = "") -> Q:
    """The condition that what a row belongs to lies where `right` is held; `prefix` leads from the row to its flow."""
    if right in holdings.everywhere:
        return Q()
    teams = holdings.teams(right)
    if not teams:
        return Q(pk__in=[])
    return Q(**{f"{prefix}team__in": teams}) | Q(**{f"{prefix}team__isnull": True})


def addressed_to(person: Person, holdings: Holdings) -> Q:
    """The condition that a request names this person as an approver, or a team in which the person decides."""
    named = Q(terms__approvers__people__contains=[person.username])
    if Right.DECIDE in holdings.everywhere:
        return named | Q(terms__approvers__teams__0__isnull=False)
    slugs = [holdings.team_slugs[team] for team in holdings.teams(Right.DECIDE)]
    return named | Q(terms__approvers__teams__has_any_keys=slugs) if slugs else named


def _holdings(viewer: Viewer) -> Holdings:
    return viewer.holdings if isinstance(viewer, Actor) else holdings_of(viewer)
