"""What is wrong with a document, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Place = tuple[str | int, ...]
"""Where something stands in a document: the keys and list positions that lead to it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: `path` reads like `steps.classify.with.prompt`, `place` is the same in parts; line and column count from 1 where
    the text is known."""

    path: str
    message: str
    mend: str = ""
    line: int | None = None
    column: int | None = None
    place: Place = ()

    def __str__(self) -> str:
        where = [f"line {self.line}, column {self.column}"] if self.line is not None else []
        where += [self.path] if self.path else []
        text = ": ".join([*where, self.message])
        return f"{text}. {self.mend}" if self.mend else text


class DocumentError(Exception):
    """The document is not a flow that can run. `problems` has everything that was found, in the order of the document."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def path_text(place: Sequence[str | int]) -> str:
    """A place as people read it: `edges[3]`, `steps.classify.with.prompt`."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known word, else the known ones; empty when there are none."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word[:80], names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{near[0]}`?"
    return f"Known here: {listed(names)}." if names else ""


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names between backticks, cut after `most`."""
    every = list(names)
    text = ", ".join(f"`{name}`" for name in every[:most])
    return f"{text} and {len(every) - most} more" if len(every) > most else text


def shorten(text: str, most: int = 120) -> str:
    """A text for a message: one line, cut."""
    line = " ".join(text[: most * 4].split())
    return line if len(line) <= most else line[: most - 1] + "…"
