"""What each role includes, and who may do what.

A role is held in one team or everywhere. A flow belongs to one team, or to everybody: then a role in any team is enough. Matters
of the whole installation (its catalogue, people, audit log) need a role that is held everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2s
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import JSONObject

from flows.access.refusals import Forbidden, NotFound
from flows.models import Flow, FlowVersion, Membership, Person, Request, Role, Run, Team

if TYPE_CHECKING:
    from flows.access.actor import Actor


class Right(StrEnum):
    SEE_FLOWS = "flows.see"
    EDIT_FLOWS = "flows.edit"
    PUBLISH_FLOWS = "flows.publish"
    MANAGE_FLOWS = "flows.manage"  # whose they are, what their runs may use at most, whether publishing takes two
    SEE_RUNS = "runs.see"
    START_RUNS = "runs.start"
    CONTROL_RUNS = "runs.control"  # cancel, retry, pause, deliver events
    RAISE_LIMITS = "runs.limits"
    REVEAL = "payloads.reveal"  # look for a minute at the fields of a run that are hidden
    SEE_REQUESTS = "requests.see"
    DECIDE = "requests.decide"
    SEE_COSTS = "costs.see"
    SEE_AUDIT = "audit.see"
    MANAGE_CATALOGUE = "catalogue.manage"
    EDIT_ROUTES = "routes.edit"  # and try prompts on them
    MANAGE_PEOPLE = "people.manage"
    THROW_SWITCH = "killswitch.throw"  # and release it
    MANAGE_PRICES = "prices.manage"
    MANAGE_BUDGETS = "budgets.manage"
    MANAGE_POLICIES = "policies.manage"  # of approvals, and where their notices go
    MANAGE_SETTINGS = "settings.manage"  # how long payloads are kept; how the installation does
    MANAGE_KEYS = "keys.manage"  # other people's; one's own need no right


_SEE = {Right.SEE_FLOWS, Right.SEE_RUNS, Right.SEE_REQUESTS}
_OPERATE = _SEE | {Right.START_RUNS, Right.CONTROL_RUNS, Right.SEE_COSTS}
_BUILD = _OPERATE | {Right.EDIT_FLOWS, Right.PUBLISH_FLOWS, Right.EDIT_ROUTES}

INCLUDES: Mapping[str, frozenset[Right]] = {
    Role.VIEWER: frozenset(_SEE),
    Role.OPERATOR: frozenset(_OPERATE),
    Role.APPROVER: frozenset(_SEE | {Right.DECIDE, Right.REVEAL}),
    Role.BUILDER: frozenset(_BUILD),
    Role.OWNER: frozenset(Right),
    Role.AUDITOR: frozenset(_SEE | {Right.SEE_COSTS, Right.SEE_AUDIT}),
}
"""The rights that each role bundles."""

INSTALLATION = frozenset(
    {
        Right.SEE_AUDIT,
        Right.MANAGE_CATALOGUE,
        Right.EDIT_ROUTES,
        Right.MANAGE_PEOPLE,
        Right.MANAGE_KEYS,
        Right.MANAGE_PRICES,
        Right.MANAGE_POLICIES,
        Right.MANAGE_BUDGETS,
        Right.THROW_SWITCH,
        Right.MANAGE_SETTINGS,
    }
)
"""Rights that belong to no flow: only a role that is held everywhere gives them."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """The rights that somebody holds everywhere, and those in single teams."""

    everywhere: frozenset[Right] = frozenset()
    by_team: Mapping[UUID, frozenset[Right]] = field(default_factory=dict)
    team_slugs: Mapping[UUID, str] = field(default_factory=dict)

    def allow(self, right: Right, team_id: UUID | None = None) -> bool:
        """Whether `right` is held for what belongs to this team; None stands for everybody's."""
        if right in self.everywhere:
            return True
        if right in INSTALLATION:
            return False
        if team_id is None:
            return any(right in rights for rights in self.by_team.values())
        return right in self.by_team.get(team_id, frozenset())

    @property
    def mark(self) -> str:
        """16 characters that differ where holdings differ: what was rendered for older ones is known by it."""
        held = [sorted(self.everywhere), sorted((team.hex, sorted(rights)) for team, rights in self.by_team.items())]
        return blake2s(json.dumps(held).encode(), digest_size=8).hexdigest()

    def teams(self, right: Right) -> list[UUID]:
        """The teams in which `right` is held beside what is held everywhere."""
        return [team for team, rights in self.by_team.items() if right in rights]


NOTHING = Holdings()
EVERYTHING = Holdings(everywhere=frozenset(Right))


ROLE = JSONObject(team="team_id", slug="team__slug", role="role")


def with_roles(people: QuerySet[Person]) -> QuerySet[Person]:
    """The same people, each read together with the roles that they hold, for the first `holdings_of` to come."""
    roles = Membership.objects.filter(person=OuterRef("pk"))
    return people.annotate(roles=ArraySubquery(roles.values(each=ROLE)))


def holdings_of(person: Person) -> Holdings:
    """What a person holds now: one query, or none right after the person was read `with_roles`. Somebody who was deactivated holds
    nothing."""
    if not person.is_active:
        return NOTHING
    everywhere: set[Right] = set()
    by_team: dict[UUID, set[Right]] = {}
    slugs: dict[UUID, str] = {}
    read: Any = person  # a request's person is a lazy stand-in, whose own attributes are others
    roles: Any = getattr(read, "roles", None)
    if roles is not None:
        del read.roles  # taken once: who asks again later asks the database
    else:
        roles = Membership.objects.filter(person=person).values_list(ROLE, flat=True)
    for each in roles:
        rights = INCLUDES.get(each["role"], frozenset())
        if each["team"] is None:
            everywhere |= rights
        else:
            team = UUID(each["team"])
            by_team.setdefault(team, set()).update(rights)
            slugs[team] = each["slug"]
    return Holdings(frozenset(everywhere), {team: frozenset(rights) for team, rights in by_team.items()}, slugs)


def may(person: Person, right: Right, team: Team | UUID | None = None) -> bool:
    """Whether a person holds `right` now for what belongs to `team` (None: everybody's)."""
    return holdings_of(person).allow(right, team.id if isinstance(team, Team) else team)


SEEING: tuple[tuple[type[Any], Right], ...] = (
    (Flow, Right.SEE_FLOWS),
    (FlowVersion, Right.SEE_FLOWS),
    (Run, Right.SEE_RUNS),
    (Request, Right.SEE_REQUESTS),
)


def team_of(subject: Any) -> UUID | None:
    """The team that a flow, version, run or request belongs to; None where it is everybody's."""
    if isinstance(subject, Flow):
        return subject.team_id
    if isinstance(subject, (FlowVersion, Run)):
        return subject.flow.team_id
    if isinstance(subject, Request):
        flow = subject.asking_flow
        return flow.team_id if flow is not None else None
    if isinstance(subject, Team):
        return subject.id
    return None


def require(actor: Actor, right: Right, subject: Any = None) -> None:
    """Passes if `actor` may use `right` on `subject` (a flow, version, run, request or team; None: the installation).

    Raises `NotFound` where the actor may not even see it, and `Forbidden`, naming the right, where the person or the key lacks
    it.
    """
    team_id = team_of(subject)
    for kind, seeing in SEEING:
        if isinstance(subject, kind) and not actor.holdings.allow(seeing, team_id):
            raise NotFound
    require_scope(actor, right)
    if not actor.holdings.allow(right, team_id):
        raise Forbidden(right)


def require_somewhere(actor: Actor, right: Right) -> None:
    """Passes if `right` is held everywhere or in any team; what is seen then is what belongs there. Raises `Forbidden`."""
    require_scope(actor, right)
    if not actor.holdings.allow(right) and not actor.holdings.teams(right):
        raise Forbidden(right)


def require_scope(actor: Actor, right: Right) -> None:
    """Passes unless the actor's key is not meant for `right`. Raises `Forbidden` naming the scope that is missing."""
    scope = actor.missing_scope(right)
    if scope is not None:
        raise Forbidden(right, f"This needs the right {str(right)!r}; the API key lacks the scope {scope!r}.")
