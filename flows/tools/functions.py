"""Python functions that flows may call, by slug. Rows of the catalogue store the slug, never a path.

An ``async def`` runs in the engine's loop and must never block it; a plain ``def`` runs in the tools worker. Arguments come by
name, already checked against the tool's schema; the result is a JSON value. A function that has a parameter `context` is given
the `ToolContext` (only ``async def``), one with `idempotency_key` that key.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
Finder = Callable[[str], Awaitable[tuple[bool, Any]]]
"""Of an idempotency key: (True, the result) where its call happened, (False, None) where it did not."""

GIVEN = ("context", "idempotency_key")


@dataclass(frozen=True, slots=True)
class ToolFunction:
    slug: str
    function: Callable[..., Any]
    is_async: bool
    given: frozenset[str]  # parameters that the caller fills, beside the arguments
    find: Finder | None = None


class _Functions(Mapping[str, ToolFunction]):
    def __init__(self) -> None:
        self._by_slug: dict[str, ToolFunction] = {}

    def __getitem__(self, slug: str) -> ToolFunction:
        return self._by_slug[slug]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_slug)

    def __len__(self) -> int:
        return len(self._by_slug)

    def add(self, slug: str, function: Callable[..., Any], find: Finder | None = None) -> None:
        known = self._by_slug.get(slug)
        if known is not None and (known.function.__module__, known.function.__qualname__) != (
            function.__module__,
            function.__qualname__,
        ):
            raise ValueError(f"two functions are registered as {slug!r}: {known.function.__module__} and {function.__module__}")
        parameters = inspect.signature(function).parameters
        given = frozenset(name for name in GIVEN if name in parameters)
        self._by_slug[slug] = ToolFunction(slug, function, inspect.iscoroutinefunction(function), given, find)


FUNCTIONS = _Functions()


def tool_function(slug: str, *, find: Finder | None = None) -> Callable[[F], F]:
    """Registers the function that follows under this slug. Raises ValueError if another has it.

    `find` is an ``async def`` that takes an idempotency key and tells what became of its call; a tool with `repeat: lookup` needs it.
    """

    def register(function: F) -> F:
        FUNCTIONS.add(slug, function, find)
        return function

    return register


@tool_function("bench.noop")
async def noop(**arguments: Any) -> dict[str, Any]:
    """Gives back what it was given, at once: what the engine costs without what it does."""
    return arguments


@tool_function("text.split")
async def split(text: str, separator: str = "\n", most: int = 1000) -> list[str]:
    """The parts of a text between separators, trimmed, empty ones left out."""
    return [part.strip() for part in text.split(separator or "\n", most) if part.strip()][:most]


@tool_function("text.statistics")
def statistics(text: str) -> dict[str, Any]:
    """Counts of a text: characters, words, lines, and its most frequent words. Work, not waiting: it runs in the tools worker."""
    words = text.lower().split()
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    frequent = sorted(counts, key=lambda word: (-counts[word], word))[:10]
    return {"characters": len(text), "words": len(words), "lines": len(text.splitlines()), "frequent": frequent}
