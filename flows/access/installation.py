"""What owners have said of the installation, as this process knows it.

A page and the API take it up with the person or key that asks, an engine with its catalogue, so what is shown is as new as the request
and costs no query of its own. What is written down or reckoned by it asks the database (`look_up`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import JSONField, Model, QuerySet, Subquery
from django.db.models.functions import JSONObject

from flows.models import Installation

Asking = TypeVar("Asking", bound=Model)

INSTALLATION: Final = "SELECT name, zone, currency FROM flows_installation WHERE id = 1"


@dataclass(frozen=True, slots=True)
class Known:
    """`zone` is that of days where no browser says another; `currency` stands before each amount."""

    name: str = "Orchestrator"
    zone: str = "UTC"
    currency: str = "$"

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def amount(self, text: str) -> str:
        """An amount as it is written: ``$0.50``, ``CHF 0.50``."""
        between = "\N{NO-BREAK SPACE}" if self.currency[-1:].isalpha() else ""
        return f"{self.currency}{between}{text}"

    def without_currency(self, text: str) -> str:
        """What somebody typed as an amount, without the label that they may have typed with it."""
        return text.strip().removeprefix(self.currency).strip()


_known = Known()


def the_installation() -> Known:
    """As this process last heard of it. Asks nobody."""
    return _known


def heed(told: Mapping[str, Any] | tuple[Any, ...] | None) -> Known:
    """Takes up what was read beside something else; None: nobody has said anything yet."""
    global _known
    _known = Known() if told is None else Known(*told) if isinstance(told, tuple) else Known(**told)
    return _known


def look_up() -> Known:
    """As it is now: one query."""
    return heed(Installation.objects.filter(id=1).values("name", "zone", "currency").first())


def with_installation(asking: QuerySet[Asking]) -> QuerySet[Asking]:
    """The same rows, each read together with what is said of the installation, as `installation`, which is to be heeded (`heed_from`)."""
    told = Installation.objects.filter(id=1).values(told=JSONObject(name="name", zone="zone", currency="currency"))
    read: Any = asking.annotate(installation=Subquery(told, output_field=JSONField()))
    return read


def heed_from(row: Any) -> None:
    """Takes up what was read together with a row `with_installation`."""
    heed(row.installation)


def money(text: str) -> str:
    """An amount with the label that amounts have here."""
    return _known.amount(text)
