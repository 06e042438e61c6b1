"""Who acts, with which key and by which door: the first argument of every verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from flows.access.rights import EVERYTHING, Holdings, Right, holdings_of
from flows.models import ApiKey, Person

SCOPES = (*tuple(f"{subject}:{act}" for subject in ("flows", "runs", "approvals", "costs") for act in ("read", "write")), "admin")
"""What a key may be for. `write` includes `read` of the same; `admin` includes everything that its person may do."""

SCOPE_OF: Mapping[Right, str] = {
    Right.SEE_FLOWS: "flows:read",
    Right.EDIT_FLOWS: "flows:write",
    Right.PUBLISH_FLOWS: "flows:write",
    Right.MANAGE_FLOWS: "flows:write",
    Right.SEE_RUNS: "runs:read",
    Right.START_RUNS: "runs:write",
    Right.CONTROL_RUNS: "runs:write",
    Right.RAISE_LIMITS: "runs:write",
    Right.REVEAL: "admin",
    Right.SEE_REQUESTS: "approvals:read",
    Right.DECIDE: "approvals:write",
    Right.SEE_COSTS: "costs:read",
    Right.SEE_AUDIT: "admin",
    Right.MANAGE_CATALOGUE: "admin",
    Right.EDIT_ROUTES: "flows:write",
    Right.MANAGE_PEOPLE: "admin",
    Right.MANAGE_PRICES: "costs:write",
    Right.MANAGE_BUDGETS: "costs:write",
    Right.MANAGE_POLICIES: "approvals:write",
    Right.MANAGE_KEYS: "admin",
    Right.THROW_SWITCH: "admin",
    Right.MANAGE_SETTINGS: "admin",
}


@dataclass(frozen=True)
class Actor:
    """A person (by session or by key), or, without a person, a part of the system, which may do everything.

    What the person holds is read once and kept for the life of this value: one request, one message, one command.
    """

    person: Person | None
    key: ApiKey | None = None
    door: str = "page"  # page | api | cli | worker
    part: str = ""  # which part of the system acts, where there is no person
    request: str = ""  # the number of the request by which they ask, where there is one
    address: str = ""  # of the network, from which they ask

    def __post_init__(self) -> None:
        if self.person is None and not self.part:
            raise ValueError("an actor is a person or a named part of the system")

    @property
    def name(self) -> str:
        """A person's username, or the part of the system."""
        return self.person.username if self.person is not None else self.part

    @cached_property
    def holdings(self) -> Holdings:
        return holdings_of(self.person) if self.person is not None else EVERYTHING

    def may(self, right: Right, team_id: object = None) -> bool:
        """Whether the actor may use `right`, by what the person holds and what the key is for."""
        return self.missing_scope(right) is None and self.holdings.allow(right, team_id)  # type: ignore[arg-type]

    def missing_scope(self, right: Right) -> str | None:
        """The scope that the key lacks for `right`; None where there is no key or it suffices."""
        if self.key is None:
            return None
        scope, scopes = SCOPE_OF[right], set(self.key.scopes)
        if "admin" in scopes or scope in scopes:
            return None
        return None if scope.endswith(":read") and f"{scope.removesuffix('read')}write" in scopes else scope


def system(part: str, door: str = "worker") -> Actor:
    """A part of the system that acts by itself, such as the reconciler."""
    return Actor(person=None, door=door, part=part)
