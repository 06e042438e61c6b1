"""How reviewing goes: figures of policies and people, from the requests and votes themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.db.models import Count, F
from django.utils import timezone

from approvals.models import View, Vote
from flows.access.actor import Actor
from flows.access.querysets import requests_for

WINDOW = timedelta(days=30)
HASTE = timedelta(seconds=3)  # between opening a request and deciding it
STREAK = 50  # approvals in a row, unchanged, after which a rule seems too wide
MOST = 20_000  # requests that a figure looks at


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one policy, or of all (`policy` empty), within 30 days. Shares are of what people decided; None where nobody did."""

    policy: str
    asked: int
    decided: int
    median_seconds: float | None
    unchanged: float | None
    edited: float | None
    rejected: float | None
    hasty: float | None
    streak: int

    @property
    def narrow(self) -> bool:
        return self.streak >= STREAK


@dataclass(frozen=True, slots=True)
class Load:
    """One person's decisions within 30 days."""

    person: str
    decided: int
    hasty: float
    unchanged: float


def figures_of(actor: Actor, now: datetime | None = None) -> dict[str, Figures]:
    """The figures of each policy under which something was asked; under "" those of all approvals. Two queries."""
    since = (now or timezone.now()) - WINDOW
    rows = _rows(actor, since)
    groups: dict[str, list[Mapping[str, Any]]] = {"": rows}
    for row in rows:
        if row["policy"]:
            groups.setdefault(row["policy"], []).append(row)
    seen = _openings(rows)
    return {policy: _figures(policy, each, seen) for policy, each in groups.items()}


def loads_of(actor: Actor, now: datetime | None = None) -> list[Load]:
    """What each person decided, the most burdened first."""
    rows = [row for row in _rows(actor, (now or timezone.now()) - WINDOW) if row["by"]]
    seen = _openings(rows)
    people: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        people.setdefault(row["by"], []).append(row)
    found = [
        Load(name, len(each), _share(each, lambda row: is_hasty(row, seen)), _share(each, is_unchanged))
        for name, each in people.items()
    ]
    return sorted(found, key=lambda load: (-load.decided, load.person))


def open_loads() -> dict[str, int]:
    """How many votes each person gave on what is still open."""
    votes = Vote.objects.filter(request__decided_at__isnull=True).order_by().values_list("person__username")
    return dict(votes.annotate(Count("id")))


def is_unchanged(row: Mapping[str, Any]) -> bool:
    """Whether it was approved as it was asked: nobody edited it, then or in an earlier vote."""
    return row["state"] == "approved" and row["revision"] == 1 and row["answer"] == row["payload"]


def is_hasty(row: Mapping[str, Any], seen: Mapping[tuple[Any, str], datetime]) -> bool:
    opened = seen.get((row["id"], row["by"]))
    return opened is not None and row["decided_at"] - opened < HASTE


def _rows(actor: Actor, since: datetime) -> list[Mapping[str, Any]]:
    found = requests_for(actor).filter(kind="approval", created_at__gte=since).order_by("-id")
    return list(
        found.annotate(by=F("decided_by__username"), policy=F("terms__policy")).values(
            "id", "state", "created_at", "decided_at", "revision", "answer", "payload", "by", "policy"
        )[:MOST]
    )


def _openings(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, str], datetime]:
    """When each decider first opened what they decided."""
    ids = [row["id"] for row in rows if row["by"]]
    found = View.objects.filter(request__in=ids).order_by("-at").values_list("request", "person__username", "at")
    return {(request, name): at for request, name, at in found}


def _figures(policy: str, rows: list[Mapping[str, Any]], seen: Mapping[tuple[Any, str], datetime]) -> Figures:
    decided = [row for row in rows if row["by"]]
    took = [(row["decided_at"] - row["created_at"]).total_seconds() for row in decided]
    streak = 0
    for row in sorted(decided, key=lambda row: row["decided_at"], reverse=True):
        if not is_unchanged(row):
            break
        streak += 1
    some = bool(decided)
    return Figures(
        policy,
        len(rows),
        len(decided),
        median(took) if some else None,
        _share(decided, is_unchanged) if some else None,
        _share(decided, lambda row: row["state"] == "approved" and not is_unchanged(row)) if some else None,
        _share(decided, lambda row: row["state"] == "rejected") if some else None,
        _share(decided, lambda row: is_hasty(row, seen)) if some else None,
        streak,
    )


def _share(rows: list[Mapping[str, Any]], test: Any) -> float:
    return sum(bool(test(row)) for row in rows) / len(rows) if rows else 0.0
