"""The circuit breaker of a model: a pure function of what became of its newest calls. Times are milliseconds of a clock that all share.

After so many failures in a row the model *rests*: nobody asks it. When its rest is over it is *half open*: one call at a time, the
probe, may try. If the probe succeeds all is well again; if it fails the model rests twice as long as before, up to eight times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson

ILL: Final = frozenset({"unavailable", "timeout", "rate_limit"})
"""The errors that speak against a model's health. A wrong request or key is ours to mend and says nothing about it."""

LONGEST = 8  # times `rest`


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row, none more than `within` seconds after the one before it, let a model rest for `rest` seconds."""

    failures: int = 5
    within: float = 60.0
    rest: float = 30.0


USUAL: Final = Breaker()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands. `until` is 0 unless it rests or is half open; `probe` is until when somebody's probe counts."""

    failures: int = 0
    failed_at: int = 0
    until: int = 0
    trips: int = 0
    probe: int = 0
    why: str = ""

    def rests(self, now: int) -> bool:
        return now < self.until

    def half_open(self, now: int) -> bool:
        return 0 < self.until <= now

    @property
    def well(self) -> bool:
        return not self.failures and not self.until

    def dumped(self) -> str:
        return orjson.dumps(asdict(self)).decode()


WELL: Final = Standing()


def loaded(text: str | bytes) -> Standing:
    return Standing(**orjson.loads(text))


def breaker_of(values: Mapping[str, Any]) -> Breaker:
    """The settings as a catalogue entry states them."""
    return Breaker(**{name: values[name] for name in ("failures", "within", "rest") if values.get(name) is not None})


def after_failure(standing: Standing, breaker: Breaker, why: str, now: int) -> Standing:
    """How it stands after a failure of class `why`. One that comes home while the model rests changes nothing: it began before."""
    if standing.rests(now):
        return standing
    if standing.half_open(now):
        trips = standing.trips + 1
        rest = min(2**trips, LONGEST) * breaker.rest
        return Standing(standing.failures + 1, now, now + int(rest * 1000), trips, 0, why)
    again = now - standing.failed_at <= breaker.within * 1000
    failures = standing.failures + 1 if again else 1
    until = now + int(breaker.rest * 1000) if failures >= breaker.failures else 0
    return Standing(failures, now, until, 0, 0, why)


def with_probe(standing: Standing, breaker: Breaker, now: int) -> Standing | None:
    """The standing with the probe taken; None where somebody else has it."""
    if standing.probe > now:
        return None
    return replace(standing, probe=now + int(breaker.rest * 1000))


def from_history(calls: Iterable[tuple[str, int]], breaker: Breaker) -> Standing:
    """How it stands by the ledger: (error class, when it ended) of its newest calls, the oldest first; "" is a success."""
    standing = WELL
    for error, ended_at in calls:
        if error in ILL:
            standing = after_failure(standing, breaker, error, ended_at)
        elif not error:
            standing = WELL
    return standing
