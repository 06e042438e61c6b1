"""What a simulated model does wrong, call by call, in words: ``fail 429 twice, then answer``.

A script is clauses, separated by ``, then`` or ``;``. They follow each other; the last one lasts, and past a last one that is counted
the model answers. A clause with a range holds for those calls, whatever the others say.

    answer | fail CLASS | hang | garbage | cut | outage    and then    nothing, once, twice, N times, or from call A to B

CLASS is a status (429, 503) or an error class (`rate_limit`). An `outage` is `fail unavailable`; `garbage` is no JSON where some was
asked for; `cut` breaks off in the middle; `hang` never ends. Calls are counted from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from flows.engine.failures import RETRYABLE_SLUGS

CLAUSE: Final = re.compile(
    r"(?P<what>answer|hang|garbage|cut|outage|fail\s+(?P<error>\w+))"
    r"(?:\s+(?:(?P<word>once|twice)|(?P<times>\d{1,6})\s+times|from\s+call\s+(?P<first>\d{1,6})\s+to\s+(?P<last>\d{1,6})))?"
)
SEPARATOR: Final = re.compile(r"\s*(?:,\s*then\b|;|,)\s*")
WORDS: Final = {"once": 1, "twice": 2}
FORMS: Final = "fail 429 twice, then answer · hang · garbage · outage from call 5 to 20"


class ScriptError(ValueError):
    """The text is no script; the message says where and how to mend it."""


@dataclass(frozen=True, slots=True)
class Clause:
    """`fault` is "" where the model answers. `times` is None where it lasts; with `first` it holds for the calls from there to `last`."""

    fault: str
    times: int | None = None
    first: int | None = None
    last: int = 0


@dataclass(frozen=True, slots=True)
class Script:
    clauses: tuple[Clause, ...]

    def fault_at(self, call: int) -> str:
        """What goes wrong with this call: an error class, a status, `hang`, `garbage`, `cut`; "" where nothing does."""
        for clause in self.clauses:
            if clause.first is not None and clause.first <= call <= clause.last:
                return clause.fault
        left = call
        for clause in self.clauses:
            if clause.first is not None:
                continue
            if clause.times is None or left <= clause.times:
                return clause.fault
            left -= clause.times
        return ""


@cache
def parse_script(text: str) -> Script:
    """The script of this text. Raises `ScriptError`."""
    clauses = tuple(_clause(part) for part in SEPARATOR.split(text.strip()) if part)
    if not clauses:
        raise ScriptError(f"The script is empty. Write one like: {FORMS}.")
    lasting = [clause for clause in clauses if clause.first is None]
    if any(clause.times is None for clause in lasting[:-1]):
        raise ScriptError("A clause that lasts has others behind it. Say how often: once, twice, 3 times.")
    return Script(clauses)


def _clause(text: str) -> Clause:
    match = CLAUSE.fullmatch(text.strip())
    if match is None:
        raise ScriptError(f"`{text[:60]}` is no clause of a script. Write one like: {FORMS}.")
    what, error = match["what"], match["error"]
    fault = error or {"answer": "", "outage": "unavailable"}.get(what, what)
    if error and not (error in RETRYABLE_SLUGS or (error.isdigit() and 400 <= int(error) <= 599)):
        raise ScriptError(f"`{error[:40]}` is no error: use a status from 400 to 599, or one of {', '.join(RETRYABLE_SLUGS)}.")
    if match["first"]:
        first, last = int(match["first"]), int(match["last"])
        if not 0 < first <= last:
            raise ScriptError(f"`{text[:60]}` holds for no call: count from 1, the smaller number first.")
        return Clause(fault, first=first, last=last)
    times = WORDS.get(match["word"] or "") or (int(match["times"]) if match["times"] else None)
    return Clause(fault, times)
