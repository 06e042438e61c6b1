"""The inbox: what waits for whom. Badge, list and API count through the same queries."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from approvals.models import Delegation, Docket, HeldDecision, View, Vote
from approvals.questions import ASKED_OF
from approvals.standing import handed_to
from flows.access.actor import Actor
from flows.access.querysets import addressed_to, belonging, requests_for
from flows.access.refusals import NotFound
from flows.access.rights import Right
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Intervention, Person, Request, RunPass
from flows.models.identifiers import UnknownIdentifier, parsed

BOXES = ("mine", "team", "all", "done")

OTHER_NAMES = {"decided": "done"}  # as the page's addresses say it

_open = Q(state__in=sorted(OPEN_REQUEST_STATES))
_names_nobody = Q(terms__approvers__people__0__isnull=True, terms__approvers__teams__0__isnull=True)


def box_named(name: str) -> str | None:
    """The box of this name; None where there is none."""
    box = OTHER_NAMES.get(name, name)
    return box if box in BOXES else None


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
    deciding = _addressed(actor, person)
    if box == "team":
        teams = list(actor.holdings.by_team)
        slugs = list(actor.holdings.team_slugs.values())
        of_my_teams = Q(run__flow__team__in=teams) | Q(flow__team__in=teams) | Q(terms__approvers__teams__has_any_keys=slugs)
        return found.filter(deciding | of_my_teams)
    votes = Vote.objects.filter(request=OuterRef("pk"), revision=OuterRef("revision"))

    def unused(holder: Person) -> Q:
        return ~Q(Exists(votes.filter(Q(person=holder) | Q(on_behalf_of=holder))))

    mine, mandates = deciding & unused(person), [person]
    for each in handed_to(actor):
        theirs = _addressed(Actor(person=each.giver), each.giver) & ~_questions & ~_hand_of(each.giver) & _may_stand_in(actor)
        mine |= theirs & unused(each.giver) & (Q(id=each.request_id) if each.request_id is not None else Q())
        mandates.append(each.giver)
    assigned_away = Docket.objects.filter(request=OuterRef("pk"), assigned_to__isnull=False).exclude(assigned_to__in=mandates)
    return (
        found.filter(mine)
        .exclude(_hand_of(person) & ~_questions)
        .filter(unused(person))
        .filter(~Exists(assigned_away))
        .filter(~Exists(HeldDecision.objects.filter(request=OuterRef("pk"))))
    )


_questions = Q(kind__in=sorted(ASKED_OF))


def _addressed(actor: Actor, person: Person) -> Q:
    """The condition that a request is for this person to decide, by name, team or right."""
    of_flows = Q(run__isnull=False) & belonging(actor.holdings, Right.DECIDE, "run__flow__")
    of_flows |= Q(flow__isnull=False) & belonging(actor.holdings, Right.DECIDE, "flow__")
    operated = _questions & belonging(actor.holdings, Right.CONTROL_RUNS, "run__flow__")
    return (~_questions & (addressed_to(person, actor.holdings) | (_names_nobody & of_flows))) | operated


def _may_stand_in(actor: Actor) -> Q:
    """The condition that the actor holds the right to decide where the request belongs."""
    of_flows = Q(run__isnull=False) & belonging(actor.holdings, Right.DECIDE, "run__flow__")
    of_flows |= Q(flow__isnull=False) & belonging(actor.holdings, Right.DECIDE, "flow__")
    slugs = [actor.holdings.team_slugs[team] for team in actor.holdings.teams(Right.DECIDE)]
    return of_flows | Q(terms__approvers__teams__has_any_keys=slugs) if slugs else of_flows


def _hand_of(person: Person) -> Q:
    """The condition that the person has a hand in what is asked: started or resumed the run, decided about its steps, or wrote it."""
    started = Q(run__isnull=False) & Q(run__started_by=person)
    passes = Exists(RunPass.objects.filter(run=OuterRef("run_id"), by=person))
    steps = Exists(Intervention.objects.filter(run=OuterRef("run_id"), by=person))
    return started | passes | steps | (Q(terms__authors__isnull=False) & Q(terms__authors__contains=[person.username]))


def by_due(requests: QuerySet[Request]) -> QuerySet[Request]:
    """The same requests, those that are due first in front, those without a deadline last."""
    return requests.order_by(F("due").asc(nulls_last=True), "id")


def waiting_for(actor: Actor) -> int:
    """How many requests wait for this person: the badge."""
    return requests_in(actor, "mine").count()


def identifier_of(public_id: str) -> UUID:
    """Raises `NotFound` for what names no request."""
    try:
        return parsed("req", public_id)
    except UnknownIdentifier:
        raise NotFound("request") from None


def request_named(actor: Actor, public_id: str) -> Request:
    """The request with all that a page, an answer or a command says of it; the large texts of its run are left out. `seen` says
    whether the actor has opened this revision. Raises `NotFound`
    where there is none, or the actor may not see it."""
    opened = View.objects.filter(request=OuterRef("pk"), person=actor.person, revision=OuterRef("revision"))
    here = requests_for(actor).filter(id=identifier_of(public_id)).annotate(seen=Exists(opened))
    found = here.select_related(*AROUND).defer(*LARGE).first()
    if found is None:
        raise NotFound("request")
    return found


def delegation_named(public_id: str) -> Delegation:
    """Raises `NotFound`."""
    try:
        found = Delegation.objects.filter(id=parsed("del", public_id)).select_related("taker", "request").first()
    except UnknownIdentifier:
        found = None
    if found is None:
        raise NotFound("delegation")
    return found


AROUND = (
    "docket__claimed_by",
    "docket__assigned_to",
    "run__flow__team",
    "run__version",
    "run__started_by",
    "flow__team",
    "decided_by",
    "held__person",
)
LARGE = ("run__flow__draft", "run__version__document", "run__input", "run__output")
