"""``make bench``: what the product reaches, each row in a module of its own, measured on this machine.

A row is a function of no arguments that returns a `Row`, marked with ``@measure("name")`` in a module that `MODULES` names.
"""

from collections.abc import Callable
from dataclasses import dataclass

ROWS: dict[str, Callable[[], "Row"]] = {}
# In the order of measuring; tests/bench/<name>.py.
MODULES = ("engine", "waits", "installed", "long", "pages", "setup", "memory", "canvas", "retrieval")


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure. `limit` is what the machine itself allows, measured in the same run, and `ratio` the figure over it
    (or under it, for times); `target` is in words; `ok` says whether it was reached."""

    figure: float
    unit: str
    target: str
    ok: bool
    limit: float | None = None
    ratio: float | None = None


def measure(name: str) -> Callable[[Callable[[], Row]], Callable[[], Row]]:
    """Registers a row under the name that it has in ``bench.json``."""

    def register(function: Callable[[], Row]) -> Callable[[], Row]:
        ROWS[name] = function
        return function

    return register
