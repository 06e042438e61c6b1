"""How far a command has come."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

WIDTH = 30


class Bar:
    """A line that is written over on a terminal; elsewhere one line for each thing that is complete."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __call__(self, what: str, done: int, wanted: int) -> None:
        full = done >= wanted
        if not self._stream.isatty():
            if full:
                self._stream.write(f"{what}: {wanted:,}\n")
            return
        signs = "#" * (WIDTH * done // max(wanted, 1))
        self._stream.write(f"\r[{signs:<{WIDTH}}] {done:,} of {wanted:,} {what}\033[K", ending="\n" if full else "")
        self._stream.flush()
        self._open = not full

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._open:
            self._stream.write("\n")
