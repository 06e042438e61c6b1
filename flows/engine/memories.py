"""Memories: what a step leaves for later runs, as values under names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

Scope = Literal["flow", "person", "key"]
"""Whose memory: the flow's own, that of the person who started the run, or one that a key of the flow's choice names."""

NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"
LONGEST_KEY: Final = 200  # characters
MOST_NAMES: Final = 1_000  # of one memory
LARGEST_VALUE: Final = 64 * 1024  # bytes of JSON
LARGEST: Final = 1024 * 1024  # bytes of JSON of one memory, so that all of it can be read at once
HISTORY: Final = 20  # newest changes of a name that are kept


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory. Those of a person, or under a key, lie within the flow's team (None: with the flows that are everybody's), so no
    team reads what another's flows know."""

    scope: Scope
    flow: UUID | None = None
    team: UUID | None = None
    person: UUID | None = None
    key: str = ""

    @property
    def place(self) -> str:
        """What tells it from every other one."""
        if self.scope == "flow":
            return f"flow:{self.flow}"
        owner = self.person if self.scope == "person" else self.key
        return f"{self.scope}:{self.team or 'all'}:{owner}"


@dataclass(frozen=True, slots=True)
class Keep:
    """Once the step's result is stored, `name` holds `value` for so many seconds (None: until it is changed); the value None forgets
    it. `untrusted` names the tool by which the run has read what others wrote, if it has."""

    memory: Memory
    name: str
    value: Any
    seconds: float | None = None
    untrusted: str = ""
