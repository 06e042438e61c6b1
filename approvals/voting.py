"""What the votes on a request come to: its quorum, its teams, its veto."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from approvals.models import Vote
from approvals.policies.reach import deciders, matched
from approvals.rules import addressed
from flows.models import Request


class HasMandate(Protocol):
    @property
    def mandate(self) -> str:
        """The account whose vote it is, whoever cast it."""
        ...


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes of one revision for one outcome: how many there are, how many it takes, which teams have not voted yet, and whether
    they decide."""

    votes: int
    quorum: int
    missing: list[str] = field(default_factory=list)
    decides: bool = False


def quorum_of(request: Request) -> int:
    return max(1, int(request.terms.get("quorum") or 1))


def tally(request: Request, outcome: str, meaning: str, cast: Iterable[Vote]) -> Tally:
    """What the votes of the newest revision come to for `outcome`. Changes are asked for by one; a rejection ends it at once unless
    the policy says that as many must reject, or so many that no approval can come about any more."""
    quorum, votes = quorum_of(request), list(cast)
    agreeing = [vote for vote in votes if vote.outcome == outcome]
    count = len(agreeing)
    if meaning == "changes" or (meaning == "reject" and request.terms.get("veto", True)):
        return Tally(count, quorum, [], True)
    if meaning == "reject":
        return Tally(count, quorum, [], count >= quorum or _hopeless(request, votes))
    missing = missing_teams(request, agreeing)
    return Tally(count, quorum, missing, count >= quorum and not missing)


def missing_teams(request: Request, agreeing: Iterable[HasMandate]) -> list[str]:
    """The teams that must still agree, where the policy wants a vote of each."""
    _, teams = addressed(request)
    if not request.terms.get("each_team") or not teams:
        return []
    able = deciders([], teams)
    voters = {vote.mandate: able.get(vote.mandate, set()) for vote in agreeing}
    if matched(teams, voters):
        return []
    covered: list[str] = []
    for team in teams:
        if matched([*covered, team], voters):
            covered.append(team)
    return [team for team in teams if team not in covered]


def _hopeless(request: Request, votes: list[Vote]) -> bool:
    """Whether those who have not voted are too few for any approval."""
    outcomes = request.terms.get("outcomes") or {}
    for_it = sum(outcomes.get(vote.outcome) == "approve" for vote in votes)
    people, teams = addressed(request)
    left = set(deciders(people, teams)) - {vote.mandate for vote in votes} - set(request.terms.get("authors") or [])
    if request.run is not None and request.run.started_by is not None:
        left.discard(request.run.started_by.username)
    return for_it + len(left) < quorum_of(request)
