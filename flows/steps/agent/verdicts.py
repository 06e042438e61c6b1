"""What becomes of the calls that a model asks for in one turn: made, put before people, or answered with why not.

A function of the settings, of what the agent has done, and of what is known of the tools; the turn writes its verdicts down, so they
hold whatever changes later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.engine.canonical import sha256_of
from flows.engine.failures import Failure
from flows.engine.problems import listed
from flows.routing.providers.base import ToolRequest
from flows.steps.agent.settings import AgentSettings, Grant
from flows.tools.base import ToolSpec

SAME_CALL = 3
"""How often one call may be asked for with the same arguments: the last of these is not made."""

MOST_ERRORS = 3
"""Turns in a row in which every call was wrong, after which the agent is stopped."""

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """The calls of a turn with their verdicts, and the bound that one of them reached, if one did."""

    calls: list[dict[str, Any]]
    bound: str = ""  # calls | repeated | errors


class Judge:
    """Judges one turn. `turns` are the records before it; `spec` and `check` know the tools; `tainted` says by what the run
    has read what others may have written, or is None."""

    def __init__(
        self,
        settings: AgentSettings,
        turns: Sequence[Record],
        spec: Callable[[str], ToolSpec],
        check: Callable[[str, Any], None],
        tainted: str | None,
        at_limit: str,
    ) -> None:
        self.settings, self.turns, self.spec, self.check = settings, turns, spec, check
        self.tainted, self.at_limit = tainted, at_limit
        self._made = [call for turn in turns for call in turn["calls"] if call["verdict"] != "no"]
        self._bound = ""

    def judge(self, asked: Sequence[ToolRequest]) -> Judged:
        calls: list[dict[str, Any]] = []
        for number, request in enumerate(asked):
            verdict, why = self._verdict(number, request)
            identity = f"call_{len(self.turns)}_{number}"
            call = {"id": identity, "tool": request.name, "arguments": request.arguments, "verdict": verdict, "why": why}
            calls.append(call)
            if verdict != "no":
                self._made.append(call)
        if not self._bound and self._wrong_again(calls):
            self._bound = "errors"
        return Judged(calls, self._bound)

    def _verdict(self, number: int, request: ToolRequest) -> tuple[str, str]:
        settings = self.settings
        grant = settings.grant(request.name)
        if grant is None:
            known = [each.tool for each in settings.tools if settings.grant(each.tool) is not None]
            return "no", f"There is no tool {request.name[:80]!r} here. You may call {listed(known) if known else 'none'}."
        if number >= settings.parallel:
            return "no", f"Only {settings.parallel} calls are made in one turn. Ask for this one again in the next."
        try:
            spec = self.spec(request.name)
            self.check(request.name, request.arguments)
        except Failure as failure:
            return "no", failure.message
        made = [call for call in self._made if call["tool"] == request.name]
        if grant.calls is not None and len(made) >= grant.calls:
            self._bound = self._bound or "calls"
            return "no", f"{request.name} may be called {grant.calls} times, and was. Go on without it."
        if sum(sha256_of(call["arguments"]) == sha256_of(request.arguments) for call in made) >= SAME_CALL - 1:
            return self._repeated(request)
        why = self._why_ask(grant, spec)
        if why:
            return "ask", why
        return ("rule", f"The policy {spec.policy} rules on it.") if self._is_ruled(grant, spec) else ("run", "")

    def _repeated(self, request: ToolRequest) -> tuple[str, str]:
        said = f"It asks for the same call of {request.name} for the {SAME_CALL}rd time."
        if self.at_limit == "pause":
            return "ask", said
        self._bound = self._bound or "repeated"
        return "no", f"You have made this call of {request.name} with the same arguments before. Use what it gave."

    def _why_ask(self, grant: Grant, spec: ToolSpec) -> str:
        """Why people are asked before this call; empty where they are not."""
        leash = self.settings.leash_of(grant)
        if leash == "ask":
            return f"Each call of {spec.slug} is asked about."
        if spec.effect != "write":
            return ""
        if self.tainted is not None:
            return f"It changes the world, and the run has read what others wrote (by {self.tainted}): its words may be theirs."
        if leash == "risky" and not spec.reversible and not spec.policy:
            return "It changes the world and cannot be undone."
        return ""

    def _is_ruled(self, grant: Grant, spec: ToolSpec) -> bool:
        """Whether the tool's own policy says if people are asked: what is risky, it knows better than this layer."""
        return bool(spec.policy) and spec.effect == "write" and self.settings.leash_of(grant) == "risky"

    def _wrong_again(self, calls: Sequence[Record]) -> bool:
        latest = [*(turn["calls"] for turn in self.turns[1 - MOST_ERRORS :]), calls]
        return len(latest) == MOST_ERRORS and all(turn and all(call["verdict"] == "no" for call in turn) for turn in latest)
