"""Two texts beside each other: which lines belong together, which words differ. Bounded, however large the texts are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_WORDS = 4000  # of both texts together; beyond it words are not told apart
MOST_LINES = 6000  # that differ, of both texts together; beyond it they stand as one block
CONTEXT = 3  # unchanged lines that are shown around a change

Words = tuple[tuple[str, bool], ...]
"""A text in pieces, each with whether it is only on this side."""


def words_apart(before: str, after: str) -> tuple[Words, Words]:
    """Both texts, with the words that differ marked."""
    old, new = _split(before), _split(after)
    if len(old) + len(new) > MOST_WORDS:
        return ((before, True),), ((after, True),)
    left: list[tuple[str, bool]] = []
    right: list[tuple[str, bool]] = []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        same = tag == "equal"
        if b > a:
            left.append(("".join(old[a:b]), not same))
        if d > c:
            right.append(("".join(new[c:d]), not same))
    return tuple(left), tuple(right)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of both texts; `sort` is same, changed, added, removed or folded (then `count` lines are left out)."""

    sort: str
    old_number: int | None = None
    old: Words = ()
    new_number: int | None = None
    new: Words = ()
    count: int = 0

    @property
    def mark(self) -> str:
        return {"added": "+", "removed": "−", "changed": "~"}.get(self.sort, "")


def lines_apart(before: str, after: str, whole: bool = False) -> list[Row]:
    """The lines side by side; what is the same is folded but for a few lines around each change, unless `whole`."""
    old, new = before.splitlines(), after.splitlines()
    rows: list[Row] = []
    for tag, a, b, c, d in _opcodes(old, new):
        if tag == "equal":
            rows += [Row("same", a + at + 1, ((old[a + at], False),), c + at + 1, ((new[c + at], False),)) for at in range(b - a)]
        else:
            rows += _changed(old[a:b], new[c:d], a, c)
    return rows if whole else list(_folded(rows))


def _changed(old: Sequence[str], new: Sequence[str], a: int, c: int) -> Iterator[Row]:
    """Lines that stand for one another side by side, then those that one side has more."""
    both = min(len(old), len(new))
    for at in range(both):
        left, right = words_apart(old[at], new[at])
        yield Row("changed", a + at + 1, left, c + at + 1, right)
    for at in range(both, len(old)):
        yield Row("removed", a + at + 1, ((old[at], True),))
    for at in range(both, len(new)):
        yield Row("added", None, (), c + at + 1, ((new[at], True),))


def _folded(rows: Sequence[Row]) -> Iterator[Row]:
    near = [False] * len(rows)
    for at, row in enumerate(rows):
        if row.sort != "same":
            near[max(at - CONTEXT, 0) : at + CONTEXT + 1] = [True] * len(near[max(at - CONTEXT, 0) : at + CONTEXT + 1])
    hidden = 0
    for row, shown in zip(rows, near, strict=True):
        if not shown:
            hidden += 1
            continue
        if hidden:
            yield Row("folded", count=hidden)
            hidden = 0
        yield row
    if hidden:
        yield Row("folded", count=hidden)


def _opcodes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """The edits between two lists of lines. What both begin and end with is found first, so that only the rest is compared."""
    shortest = min(len(old), len(new))
    head = next((at for at in range(shortest) if old[at] != new[at]), shortest)
    tail = next((at for at in range(shortest - head) if old[-1 - at] != new[-1 - at]), shortest - head)
    old_end, new_end = len(old) - tail, len(new) - tail
    if head:
        yield "equal", 0, head, 0, head
    if old_end - head + new_end - head > MOST_LINES:
        yield "replace", head, old_end, head, new_end
    else:
        for tag, a, b, c, d in SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False).get_opcodes():
            yield tag, a + head, b + head, c + head, d + head
    if tail:
        yield "equal", old_end, len(old), new_end, len(new)


def _split(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)
