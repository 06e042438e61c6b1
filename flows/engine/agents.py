"""An agent: a model that says what is done next, turn by turn, within bounds that its kind enforces.

A turn is a step of its own, and so is each tool call that it asks for: all of them stand in the journal, are repeated, asked about
and charged like any other step, so an agent that is taken up after a crash goes on exactly where its journal ends. The planner knows
only the shape: a turn, then the calls that it asked for side by side, then the next turn, until one has an answer or a bound is
reached. What may be called is decided by the turn, which writes its verdicts down; here nothing is judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flows.engine.containers import Container, Error
from flows.engine.failures import AgentStopped
from flows.engine.graph import Graph, Node
from flows.engine.kinds import Done, Kind

TURN = "model"
"""The key of a turn's own step: `research.turn[0].model`."""

_INSIDE = re.compile(r"model|(?:call|permission)\[\d+\]")


class Conversing(Kind):
    """Base of the kinds that hold a conversation: what their turns and calls are, as steps."""

    def turn(self, agent: Node) -> Graph:
        """The step of one turn. It gives a record ``{text, output, calls: [{id, tool, arguments, verdict, why}], ended, …}``:
        `verdict` is run, ask (people), rule (the policy of its tool) or no, `ended` the bound that was reached, or empty."""
        raise NotImplementedError

    def calls(self, agent: Node, record: Mapping[str, Any]) -> Graph | None:
        """The steps that a turn's record asks for: `call[0]` and so on, behind `permission[0]` where people are to agree first; None
        where it asks for none that may be made."""
        raise NotImplementedError

    def graph_inside(self, agent: Node, key: str) -> Graph:
        """A step of this key as it would stand in a turn, with what follows it there, whatever it calls."""
        raise NotImplementedError

    def ending(self, agent: Node, turns: list[dict[str, Any]]) -> Done:
        """The agent's result: `turns` are the records, each with what its calls gave in `results`."""
        raise NotImplementedError


class AgentContainer(Container):
    """The conversation so far. Bodies come one after the other: the turn at position 2n, the calls that it asked for at 2n + 1."""

    __slots__ = ("_agent", "_calls", "_error", "_kind", "_next", "_over", "_turns", "opening")

    counted = False  # its turns and calls are steps themselves
    bounds_itself = True  # a turn that finds no steps or time left concludes, or leaves by `limit`

    def __init__(self, agent: Node, kind: Conversing, opening: Mapping[str, Any]) -> None:
        """`opening` are the agent's settings with their templates filled in, kept as they were when it began."""
        super().__init__(kind.turn(agent))
        self.opening = opening
        self._agent = agent
        self._kind = kind
        self._turns: list[dict[str, Any]] = []
        self._calls: Graph | None = None  # of the newest turn, while they have not ended
        self._next = 0
        self._over = False
        self._error: Error | None = None

    def take(self, reached: int = -1) -> tuple[int, Mapping[str, Any]] | None:
        if self.exhausted or self.frames:
            return None
        return self._next, {"agent": {"opening": self.opening, "turns": self._turns}}

    def graph_at(self, position: int) -> Graph:
        return self.graph if self._calls is None else self._calls

    def prefix(self, path: str, position: int) -> str:
        return f"{path}.turn[{position // 2}]."

    def settle(self, position: int, output: Any, names: Mapping[str, Any]) -> Mapping[str, Any] | None:
        steps = names["steps"]
        if self._calls is None:
            self._take_turn(position, steps[TURN]["output"])
        else:
            self._turns[-1]["results"] = {key: steps[key] for key in self._calls.nodes}
            self._calls = None
            self._next = position + 1
        return None

    def _take_turn(self, position: int, record: Mapping[str, Any]) -> None:
        self._turns = [*self._turns, {**record, "results": {}}]
        self._over = bool(record["ended"]) or not record["calls"]
        self._calls = None if self._over else self._kind.calls(self._agent, record)
        self._next = position + (1 if self._calls is not None else 2)

    def fail(self, position: int, error: Error) -> None:
        self._error = error

    @property
    def checkpoint(self) -> Mapping[str, Any]:
        return {"opening": dict(self.opening)}

    @property
    def exhausted(self) -> bool:
        return self._over or self._error is not None

    def ending(self, node: Node, path: str) -> Done | Error:
        if self._error is not None:
            return self._error
        done = self._kind.ending(node, self._turns)
        if done.port == "limit" and "limit" not in node.outgoing:
            bound = self._turns[-1]["ended"]
            failure = AgentStopped(f"It reached its bound on {bound}, and its port `limit` leads nowhere.")
            return {"step": path, "class": failure.slug, "message": failure.message}
        return done


def conversation_around(path: str) -> str | None:
    """The path of the agent whose turn or call stands at `path`, the innermost; None where it is none's."""
    agent, turn, _ = path.rpartition(".turn[")
    return agent if turn and "/" not in path[len(agent) :] else None


def graph_inside(agent: Node, key: str) -> Graph | None:
    """The step of this key in a turn of the agent; None where it has none, or where the step is no agent."""
    kind = agent.kind
    return kind.graph_inside(agent, key) if isinstance(kind, Conversing) and _INSIDE.fullmatch(key) else None
