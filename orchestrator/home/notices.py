"""What the home page says above its cards: connections that expire, models that are only simulated, the demonstration."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db.models import CharField, DateField, F, Value
from django.utils import timezone

from flows.models import Connection, Filling, MCPServer, ModelEntry, Seeded
from flows.runs.toolbox.connected import SOON, days_until

NO_DAY = Value(None, DateField())


@dataclass(slots=True)
class Notices:
    """`expiring`: name, day and days left of each connection that expires within a week, or has; the soonest first."""

    expiring: list[tuple[str, date, int]] = field(default_factory=list)
    simulated: bool = True
    demonstration: bool = False


def notices_now() -> Notices:
    """As things stand: one query."""
    until = timezone.localdate() + SOON
    tables: tuple[Any, ...] = (Connection, MCPServer)
    rows = [_told("connection", table.objects.filter(expires_on__lte=until), "slug", F("expires_on")) for table in tables]
    rows += [_told("model", models_with_a_key(), "slug")[:1], _told("demonstration", Filling.objects.all(), "what")]
    found = Notices()
    for what, name, day in rows[0].union(*rows[1:], all=True):
        if what == "connection":
            found.expiring.append((name, day, days_until(day) or 0))
        elif what == "model":
            found.simulated = False
        else:
            found.demonstration = True
    found.expiring.sort(key=lambda each: (each[1], each[0]))
    return found


def models_with_a_key() -> Any:
    """Real models; those of the demonstration's past do not exist anywhere."""
    made_up = Seeded.objects.filter(kind="model").values("key")
    return ModelEntry.objects.filter(simulated=False).exclude(slug__in=made_up)


def _told(kind: str, rows: Any, name: str, day: Any = NO_DAY) -> Any:
    said = {"told": Value(kind, CharField()), "named": F(name), "day": day}
    return rows.order_by().annotate(**said).values_list(*said)
