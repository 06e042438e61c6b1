"""One turn of an agent: one question to its route, and a verdict on each call that the answer asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from flows.engine.agents import conversation_around
from flows.engine.document import Limits
from flows.engine.failures import BoundReached, TimedOut
from flows.engine.kinds import Done, Role
from flows.execution.context import StepContext, WorkKind
from flows.routing.providers.base import ModelReply, ToolDeclaration, Usage
from flows.steps.agent.conversation import CONCLUDE, conversation
from flows.steps.agent.settings import AgentSettings
from flows.steps.agent.verdicts import Judge
from flows.steps.agent.window import summary_beyond
from flows.steps.asking import Question, ask, bound_of
from flows.steps.services import StepServices

LAST_SHARE = 0.2
"""The share of its time from which on an agent that is to finish in time is told to conclude."""

NO_LIMITS = Limits.model_construct(cost=None, tokens=None, steps=None, duration=None, at_limit="stop")


class TurnKind(WorkKind):
    slug = "turn"
    label = "Turn of an agent"
    role = Role.EFFECT
    Settings = AgentSettings

    async def perform(self, context: StepContext) -> Done:
        """The turn's record: ``{text, output, calls, ended, asked, concluding, left, used, at}``, and `summary` where it made
        one. Raises what asking a route raises."""
        return Done(await _Turn(context).record())


@dataclass(slots=True)
class _Time:
    """Seconds that the agent has used when this turn begins, and those it may use; people's own are not counted."""

    used: float
    most: float | None

    @property
    def left(self) -> float | None:
        return None if self.most is None else self.most - self.used


class _Turn:
    def __init__(self, context: StepContext) -> None:
        self.context = context
        self.services: StepServices = context.services
        agent = context.names["agent"]
        self.opening: Mapping[str, Any] = agent["opening"]
        self.settings = AgentSettings.model_validate(self.opening)  # as they were when it began, with what people have edited
        self.turns: Sequence[Mapping[str, Any]] = agent["turns"]
        self.path = conversation_around(context.path) or ""
        self.limits = context.limits_of(self.path) or NO_LIMITS
        self.finishes = self.limits.at_limit == "finish"
        self.summary: dict[str, Any] | None = None  # of the turns before, where this one made it
        self.time = _Time(self._used(), self.limits.duration.seconds if self.limits.duration is not None else None)

    async def record(self) -> dict[str, Any]:
        """Asks, and judges the answer; where a bound is reached, does what its `at_limit` says."""
        left = self.time.left
        if left is not None and left <= 0:
            return self._ended("time")
        if self._steps_left <= 0:
            return self._ended("steps")
        bound = self._concludes_for()
        if bound:
            return await self._conclude(bound)
        try:
            await self._keep_within_window()
            reply = await ask(self.context, self._question(self._messages(), self._tools()))
        except BoundReached as reached:
            return await self._conclude(reached.which) if self.finishes else self._ended(reached.which)
        except TimedOut:
            if left is not None and self._seconds() >= left:
                return self._ended("time")
            raise
        return await self._judged(reply)

    # ------------------------------------------------------------------ asking

    async def _keep_within_window(self) -> None:
        memory = self.settings.memory
        if memory is not None:
            tokens = self._question(self._messages(), []).tokens(self._messages())
            self.summary = await summary_beyond(self.context, memory, self.turns, tokens, self.time.left)

    def _messages(self) -> list[dict[str, Any]]:
        return conversation(self.opening, self.turns, self.summary)

    def _tools(self) -> list[ToolDeclaration]:
        specs = self.services.tools.specs
        granted = [grant.tool for grant in self.settings.tools if self.settings.grant(grant.tool) and grant.tool in specs]
        return [ToolDeclaration(slug, specs[slug].description or slug, specs[slug].arguments) for slug in granted]

    def _question(self, messages: list[dict[str, Any]], tools: list[ToolDeclaration]) -> Question:
        settings = self.settings
        return Question(
            route=settings.route,
            messages=messages,
            output=settings.output,
            max_output=settings.max_output,
            temperature=settings.temperature,
            seed=settings.seed,
            cache=settings.cache,
            repair=settings.repair,
            capabilities=frozenset({"tools"}) if tools else frozenset(),
            tools=tools,
            within=self.time.left,
        )

    async def _conclude(self, bound: str) -> dict[str, Any]:
        """The last turn: the model is told which bound it is, and has no tools any more."""
        messages = [*self._messages(), {"role": "user", "content": CONCLUDE.format(bound=bound)}]
        try:
            reply = await ask(self.context, self._question(messages, []))
        except BoundReached as reached:
            return self._ended(reached.which)
        return self._record(reply, concluding=bound)

    def _concludes_for(self) -> str:
        """The bound for which this turn has to be the last one; empty where it has not. Only an agent that is to finish concludes."""
        if not self.finishes:
            return ""
        reached = self.turns[-1]["concluding"] if self.turns else ""
        if reached:
            return str(reached)
        if self._asked + 1 >= self.settings.max_turns:
            return "turns"
        if self._steps_left <= 2:
            return "steps"
        left = self.time.left
        if left is not None and self.time.most is not None and left < LAST_SHARE * self.time.most:
            return "time"
        return self._short_of()

    def _short_of(self) -> str:
        """The limit in dollars or tokens that has no room for another turn behind this one."""
        cost, tokens = self.context.left_of(self.path)
        if cost is None and tokens is None:
            return ""
        dollars, most = bound_of(self.context, self._question(self._messages(), self._tools()))
        if tokens is not None and tokens < 2 * most:
            return "tokens"
        return "cost" if cost is not None and cost < 2 * (dollars or Decimal(0)) else ""

    # ------------------------------------------------------------------ judging

    async def _judged(self, reply: ModelReply) -> dict[str, Any]:
        if not reply.tool_calls:
            return self._record(reply)
        tools, at_limit = self.services.tools, self.limits.at_limit
        tainted = await self.services.untrusted_of(self.context.run)
        judged = Judge(self.settings, self.turns, tools.spec, tools.check, tainted, at_limit).judge(reply.tool_calls)
        bound = judged.bound
        if self._asked + 1 >= self.settings.max_turns:
            bound = bound or "turns"
        if bound and not self.finishes:
            unmade = [
                {**call, "verdict": "no", "why": call["why"] or f"The bound on {bound} was reached."} for call in judged.calls
            ]
            return self._record(reply, unmade, ended=bound)
        return self._record(reply, judged.calls, concluding=bound if bound != "calls" else "")

    # ------------------------------------------------------------------ the record

    def _record(
        self, reply: ModelReply, calls: Sequence[Mapping[str, Any]] = (), *, ended: str = "", concluding: str = ""
    ) -> dict[str, Any]:
        seconds = self._seconds()
        left = self.time.left
        record = {
            "text": reply.text,
            "output": reply.output if self.settings.output is not None else reply.text,
            "calls": list(calls),
            "ended": ended,
            "asked": True,
            "concluding": concluding,
            "left": None if left is None else max(left - seconds, 0.001),
            "used": self.time.used + seconds,
            "at": self.context.now.isoformat(),
        }
        return record | {"summary": self.summary} if self.summary is not None else record

    def _ended(self, bound: str) -> dict[str, Any]:
        """The record of a turn in which nothing was asked, for a bound was reached before."""
        record = self._record(ModelReply("", Usage(), "stop"), ended=bound)
        return {**record, "output": None, "asked": False}

    # ------------------------------------------------------------------ what is left

    @property
    def _asked(self) -> int:
        return sum(turn["asked"] for turn in self.turns)

    @property
    def _steps_left(self) -> float:
        if self.limits.steps is None:
            return float("inf")
        return self.limits.steps - sum(1 + sum(call["verdict"] != "no" for call in turn["calls"]) for turn in self.turns)

    def _seconds(self) -> float:
        """Since the turn began, in an earlier life perhaps."""
        return self.context.elapsed

    def _used(self) -> float:
        """Seconds of the turns and calls before this one. Where people were asked, the time of that turn's calls is not counted."""
        if not self.turns:
            return 0.0
        last = self.turns[-1]
        if any(_asked_people(last, number, call) for number, call in enumerate(last["calls"])):
            return float(last["used"])
        since = (self.context.now - datetime.fromisoformat(last["at"])).total_seconds()
        return float(last["used"]) + max(since - self._seconds(), 0.0)


def _asked_people(turn: Mapping[str, Any], number: int, call: Mapping[str, Any]) -> bool:
    """Whether a call waited for people; one on which a policy rules may have passed without."""
    if call["verdict"] != "rule":
        return bool(call["verdict"] == "ask")
    leave = (turn["results"].get(f"permission[{number}]") or {}).get("output") or {}
    return not leave.get("unasked")
