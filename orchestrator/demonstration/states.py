"""How the demonstration stands, for pages and the API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from flows.models import Filling
from orchestrator.management.receivers import receiver_port
from orchestrator.supervisor.children import answers

SILENT = timedelta(minutes=5)
"""After this time without a sign the process that filled is believed dead."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`state` is none | filling | failed | there; with `filling` how many of `what` are made, with `failed` why."""

    state: str
    what: str = ""
    done: int = 0
    wanted: int = 0
    error: str = ""

    @property
    def share(self) -> int:
        """Percent of what is being made."""
        return min(100 * self.done // self.wanted, 100) if self.wanted else 0


def standing_of(filling: Filling | None) -> Standing:
    if filling is None:
        return Standing("none")
    if filling.ended_at is not None:
        return Standing("there")
    here = (filling.what, filling.done, filling.wanted)
    if filling.error:
        return Standing("failed", *here, filling.error)
    if timezone.now() - filling.moved_at > SILENT:
        return Standing("failed", *here, "Nothing was heard of it for five minutes.")
    return Standing("filling", *here)


def standing() -> Standing:
    """One query."""
    return standing_of(Filling.objects.first())


def can_be_brought() -> bool:
    """Whether there is a receiver for the demonstration's tools on this machine: `manage.py up` starts one."""
    port = receiver_port(settings.DATA_DIR)
    return port is not None and answers(port, "/healthz")
