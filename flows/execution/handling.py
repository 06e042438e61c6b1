"""How a run departs from what its document says: simulated models, tools that are not really called, steps whose results are given.

It is kept with the run (`flows_run.handling`) and never changes; a run without any does what its document says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from flows.engine.kinds import Done

Fault = Literal["outage", "rate_limit", "bad_json", "dead_worker", "slow_person"]
FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
"""What a fire drill rehearses, one in each of its runs."""

HURRIED = 0.2
"""Seconds that a drill waits at most before a step is tried again."""

DUE_SOON = 1.0
"""Seconds after which a drill's deadlines for people have passed, whatever the flow gives them."""


@dataclass(frozen=True, slots=True)
class Handling:
    """`decide` is who answers approvals: the approvers whom they name, the `tester`, or nobody, since it is `approve` or `reject`
    every time. `given` are results, by path, of steps that are not carried out, `fails` the failures of such. `drill` is the fault that
    a fire drill rehearses in this run; "" in all others."""

    simulate: bool = False  # every model call goes to a simulated model
    dry: bool = False  # tools that write are not called; their results are examples
    real_tools: frozenset[str] = frozenset()  # those that are called all the same
    decide: str = "approvers"  # approvers | tester | approve | reject
    skip_waits: bool = False
    given: Mapping[str, Done] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)  # where each of `given` comes from, in words
    fails: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # {class, message} of steps that are supposed to fail
    drill: str = ""

    @property
    def rehearses(self) -> bool:
        """Whether what its steps come to is not meant: nothing of it is kept for later runs."""
        return self.simulate or self.dry or bool(self.drill)

    def back_off(self, seconds: float) -> float:
        """How long a step really waits before its next attempt."""
        return min(seconds, HURRIED) if self.drill else seconds

    def due(self, seconds: float | None) -> float | None:
        """How long people really have."""
        return min(seconds, DUE_SOON) if self.drill and seconds is not None else seconds

    def as_json(self) -> dict[str, Any]:
        """Only what departs."""
        given = {
            path: {"output": each.output, "port": each.port, "state": dict(each.state or {})} for path, each in self.given.items()
        }
        found: dict[str, Any] = {
            "simulate": self.simulate,
            "dry": self.dry,
            "real_tools": sorted(self.real_tools),
            "decide": self.decide,
            "skip_waits": self.skip_waits,
            "given": given,
            "sources": dict(self.sources),
            "fails": {path: dict(failure) for path, failure in self.fails.items()},
            "drill": self.drill,
        }
        return {name: value for name, value in found.items() if value and value != "approvers"}

    @classmethod
    def of(cls, value: Mapping[str, Any] | None) -> Handling:
        """What was stored of a run."""
        if not value:
            return AS_WRITTEN
        given = {
            path: Done(each["output"], each["port"], each.get("state") or {}) for path, each in value.get("given", {}).items()
        }
        return cls(
            simulate=value.get("simulate", False),
            dry=value.get("dry", False),
            real_tools=frozenset(value.get("real_tools", ())),
            decide=value.get("decide", "approvers"),
            skip_waits=value.get("skip_waits", False),
            given=given,
            sources=value.get("sources", {}),
            fails=value.get("fails", {}),
            drill=value.get("drill", ""),
        )


AS_WRITTEN = Handling()
