"""How the engine's log names an error of the database or the network: its first line, and nothing of what was sent."""

from __future__ import annotations


def said(error: BaseException) -> str:
    """The first line of the error's message, or its name where it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
