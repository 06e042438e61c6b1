"""Who can decide by a policy: a rule that nobody can satisfy would hold up every run that meets it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from django.urls import reverse

from approvals.models import Channel, Policy
from approvals.policies.settings import PolicySettings
from flows.access.refusals import Fault
from flows.access.rights import INCLUDES, Right
from flows.models import Membership, Person, Role, Team

DECIDING = sorted(role for role, rights in INCLUDES.items() if Right.DECIDE in rights)


def deciders(people: Iterable[str], teams: Iterable[str], *, owners: bool = True) -> dict[str, set[str]]:
    """Who may decide for these people and teams: usernames, each with the teams for which they count. Those who decide everywhere
    count for each of the teams; with `owners` False those do not who may since they own the installation."""
    named, slugs = set(people), list(teams)
    active = Person.objects.filter(is_active=True)
    found: dict[str, set[str]] = {name: set() for name in active.filter(username__in=named).values_list("username", flat=True)}
    if not slugs:
        return found
    held = Membership.objects.filter(person__is_active=True, role__in=DECIDING)
    for name, team in held.filter(team__slug__in=slugs).values_list("person__username", "team__slug"):
        found.setdefault(name, set()).add(str(team))
    if not owners:
        held = held.exclude(role=Role.OWNER)
    for name in held.filter(team__isnull=True).values_list("person__username", flat=True):
        found.setdefault(name, set()).update(slugs)
    return found


def unknown_names(settings: PolicySettings) -> Iterable[Fault]:
    """People, teams and channels that this installation does not have."""
    places: list[tuple[str, list[str], list[str]]] = [("", settings.people, settings.teams)]
    places += [(f"ladder.{at}.", rung.people, rung.teams) for at, rung in enumerate(settings.ladder)]
    people = set(Person.objects.filter(is_active=True).values_list("username", flat=True))
    teams = set(Team.objects.values_list("slug", flat=True))
    for place, some_people, some_teams in places:
        for name in some_people:
            if name not in people:
                yield Fault(f"{place}people", f"there is nobody called {name[:64]!r}")
        for name in some_teams:
            if name not in teams:
                yield Fault(f"{place}teams", f"there is no team {name[:64]!r}")
    channels = set(Channel.objects.filter(removed_at__isnull=True).values_list("name", flat=True)) if settings.channels else set()
    for name in settings.channels:
        if name not in channels:
            yield Fault("channels", f"there is no channel {name[:64]!r}", "Make it on the page of the channels, or leave it out.")


def unsatisfiable(settings: PolicySettings) -> Iterable[Fault]:
    """Why no group of people could ever approve by this policy."""
    able = deciders(settings.people, settings.teams, owners=False)  # a rule is not made for owners to fill in
    if len(able) < settings.quorum:
        who = f"only {len(able)}" if able else "nobody"
        yield Fault(
            "quorum", f"{settings.quorum} votes are needed and {who} may decide", "Name more people, or ask for fewer votes."
        )
    elif settings.each_team and not matched(settings.teams, able):
        yield Fault("each_team", "the teams do not have so many different people who may decide", "Name other teams.")


def matched(teams: Iterable[str], able: Mapping[str, set[str]]) -> bool:
    """Whether each team can be given a person of its own: one who counts for several counts for one of them (Kuhn's algorithm)."""
    of: dict[str, str] = {}

    def give(team: str, tried: set[str]) -> bool:
        for person, counts in able.items():
            if team in counts and person not in tried:
                tried.add(person)
                if person not in of or give(of[person], tried):
                    of[person] = team
                    return True
        return False

    return all(give(team, set()) for team in teams)


def policies_on(tools: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """By tool the policies in force that it names (`tools` says which), or whose patterns match it, whatever the flow: their names and
    addresses. One query."""
    known = Policy.objects.filter(current__isnull=False, retired_at__isnull=True).select_related("current").order_by("slug")
    found: dict[str, list[tuple[str, str]]] = {}
    for policy in known:
        patterns = policy.rules.get("tools") or []
        for tool, own in tools.items():
            if policy.slug == own or any(fnmatchcase(tool, each) for each in patterns):
                found.setdefault(tool, []).append((policy.name, reverse("policy", args=[policy.slug])))
    return found


def policies_named() -> dict[str, str]:
    """The names of all policies in force, by what flows and tools call them. One query."""
    known = Policy.objects.filter(current__isnull=False, retired_at__isnull=True).order_by("name")
    return dict(known.values_list("slug", "name"))
