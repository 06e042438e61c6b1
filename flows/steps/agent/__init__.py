"""A model with tools, in a loop within bounds: it says what is done next, this layer says what may be done.

`settings.py` has what a builder writes, `turn.py` one turn, `verdicts.py` what becomes of the calls that it asks for, `calls.py` the
steps that make them, `conversation.py` what the model is told, `window.py` what is left out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flows.engine.agents import TURN, Conversing
from flows.engine.document import Retry
from flows.engine.graph import Graph, Node
from flows.engine.kinds import Done, Fault, Kind, Role, Settings, Surroundings
from flows.engine.problems import did_you_mean
from flows.steps.agent.calls import CallKind, CallSettings, PermissionKind, PermissionSettings
from flows.steps.agent.settings import AgentSettings
from flows.steps.agent.turn import TurnKind

__all__ = ["AgentKind", "AgentSettings"]

LIMIT = "limit"
ASKING = frozenset({"ask", "rule"})
"""Verdicts behind which a call waits for leave: people's, or, as the tool's policy rules, its own."""


class AgentKind(Conversing):
    slug = "agent"
    label = "Let an agent work"
    group = "Models"
    icon = "models"
    begins_with = {"route": "", "prompt": "", "tools": [], "max_turns": 8}
    ports_from = ("done", LIMIT)
    form = ("route", "prompt", "tools", "max_turns", "leash", "output")
    role = Role.STRUCTURE
    Settings = AgentSettings

    def __init__(self) -> None:
        self._turn, self._call, self._permission = TurnKind(), CallKind(), PermissionKind()

    def ports(self, settings: AgentSettings) -> frozenset[str]:
        return frozenset({"done", LIMIT})

    def output_schema(self, settings: AgentSettings) -> Mapping[str, Any] | None:
        """What it answers; behind its port `limit`, what there is."""
        if settings.output is None:
            return None
        known = settings.output.get("properties")
        if not isinstance(known, dict):
            return None
        return {"type": "object", "properties": {**known, **{name: {} for name in ("bound", "text", "turns", "calls")}}}

    def routes(self, settings: AgentSettings) -> tuple[str, ...]:
        summarise = settings.memory.summarise if settings.memory is not None else None
        return (settings.route,) if summarise is None else (settings.route, summarise)

    def needs(self, settings: AgentSettings) -> frozenset[str]:
        return settings.needs | (frozenset({"tools"}) if settings.tools else frozenset())

    def faults(self, settings: AgentSettings, around: Surroundings) -> Iterable[Fault]:
        yield from around.unknown_route(("route",), settings.route)
        if settings.memory is not None and settings.memory.summarise is not None:
            yield from around.unknown_route(("memory", "summarise"), settings.memory.summarise)
        tools = around.catalogue.tools if around.catalogue else {}
        seen: set[str] = set()
        for index, grant in enumerate(settings.tools):
            if grant.tool in seen:
                yield Fault(("tools", index), f"the tool `{grant.tool}` is granted twice", "Remove one.")
            seen.add(grant.tool)
            if grant.tool not in tools:
                yield around.not_in_catalogue(("tools", index), f"the tool `{grant.tool}`", did_you_mean(grant.tool, tools))
        asks = any((grant.leash or settings.leash) in {"risky", "ask"} for grant in settings.tools)
        if asks and not settings.approvers.people and not settings.approvers.teams:
            yield Fault(("approvers",), "nobody is named who may decide on its calls", "Name people or teams.", warning=True)

    # ------------------------------------------------------------------ its steps

    def turn(self, agent: Node) -> Graph:
        return Graph({TURN: _node(agent, TURN, self._turn, agent.settings, {})}, (TURN,), None)

    def calls(self, agent: Node, record: Mapping[str, Any]) -> Graph | None:
        nodes: dict[str, Node] = {}
        for number, call in enumerate(record["calls"]):
            if call["verdict"] != "no":
                nodes |= self._steps_of(agent, number, call, record)
        first = tuple(key for key, node in nodes.items() if node.incoming[0][0] == "start")
        return Graph(nodes, first, None) if nodes else None

    def graph_inside(self, agent: Node, key: str) -> Graph:
        if key == TURN:
            return self.turn(agent)
        number = int(key.partition("[")[2].rstrip("]"))
        verdict = "ask" if key.startswith("permission") else "run"
        nodes = self._steps_of(agent, number, {"tool": "", "arguments": {}, "verdict": verdict, "why": ""}, {})
        return Graph(nodes, (key,), None)

    def _steps_of(self, agent: Node, number: int, call: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Node]:
        """The step of one call, behind that which asks for permission where it needs one."""
        settings: AgentSettings = agent.settings  # type: ignore[assignment]
        key, asked = f"call[{number}]", f"permission[{number}]"
        given = {"tool": call["tool"], "arguments": call["arguments"], "within": record.get("left")}
        if call["verdict"] not in ASKING:
            return {key: _node(agent, key, self._call, CallSettings.model_construct(**given), given)}
        wanted = CallSettings.model_construct(**given, permission=asked, ruled=call["verdict"] == "rule")
        asking = {
            "agent": agent.label or agent.key,
            "tool": call["tool"],
            "arguments": call["arguments"],
            "why": call["why"],
            "text": record.get("text", ""),
            "ruled": call["verdict"] == "rule",
        }
        terms = PermissionSettings.model_construct(
            **asking, approvers=settings.approvers, quorum=settings.quorum, due=settings.due
        )
        return {
            asked: _node(agent, asked, self._permission, terms, asking, outgoing={"approve": (key,)}),
            key: _node(agent, key, self._call, wanted, given, incoming=((asked, "approve"),)),
        }

    def ending(self, agent: Node, turns: list[dict[str, Any]]) -> Done:
        last = turns[-1]
        if not last["ended"]:
            return Done(last["output"])
        return Done(partial_result(turns), LIMIT)


def partial_result(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """What there is where a bound was reached: which, the model's last words, and what its calls gave."""
    calls = [
        {"tool": call["tool"], "arguments": call["arguments"], "result": (turn["results"].get(f"call[{i}]") or {}).get("output")}
        for turn in turns
        for i, call in enumerate(turn["calls"])
        if call["verdict"] != "no"
    ]
    text = next((turn["text"] for turn in reversed(turns) if turn["text"]), "")
    return {"bound": turns[-1]["ended"], "text": text, "turns": sum(turn["asked"] for turn in turns), "calls": calls}


def _node(
    agent: Node,
    key: str,
    kind: Kind,
    settings: Settings,
    fixed: Mapping[str, Any],
    *,
    incoming: tuple[tuple[str, str], ...] = (("start", "done"),),
    outgoing: Mapping[str, tuple[str, ...]] | None = None,
) -> Node:
    """A step of the agent. What a model wrote is in `fixed`, as values: nothing of it is ever rendered."""
    return Node(
        key=key,
        index=0,
        kind=kind,
        settings=settings,
        role=kind.role,
        label=None,
        retry=Retry(),
        timeout=None,
        deadline=None,
        limits=None,
        join="all",
        on_error="fail" if key == TURN else "continue",  # a call that failed is told to the model
        ports=kind.ports(settings),
        incoming=incoming,
        outgoing=outgoing or {},
        body=None,
        expressions={},
        where=agent.where,
        fixed=fixed,
        templates=(),
    )
