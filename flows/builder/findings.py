"""The mistakes of undependable flows, found in a compiled flow: each with its place, why it matters, and, where it is certain, the
edits that mend it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flows.engine.document import Edge, Limits
from flows.engine.drawing import label_of
from flows.engine.graph import Flow, Graph, Node
from flows.engine.kinds import Role

Question = Literal["sequence", "errors", "cost", "approvals"]
Weight = Literal["serious", "advice"]
SAFE_RETRY = {"attempts": 3, "backoff": "exponential", "first": "1s", "max": "30s"}
FIRST_CAP = "1.00"  # dollars: what is proposed where a flow has no cap
FIRST_TIME = "60s"
FIRST_DUE = "2d"


@dataclass(frozen=True, slots=True)
class RouteFacts:
    candidates: tuple[str, ...] = ()
    fall_back_on: tuple[str, ...] = ()
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Inside:
    """What the flow behind a tool does: whether it asks models, and which tools it lets write without anybody's approval."""

    flow: str
    asks_models: bool = False
    writes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """`inside` is of a tool that is a flow."""

    effect: str = "read"
    repeat: str = "freely"
    reversible: bool = False
    inside: Inside | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """What the catalogue says of routes, models and tools."""

    routes: Mapping[str, RouteFacts] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    tools: Mapping[str, ToolFacts] = field(default_factory=dict)

    def effect_of(self, tool: str) -> str:
        return self.tools.get(tool, ToolFacts()).effect

    def behind(self, each: Placed) -> list[tuple[str, Inside]]:
        """The flows that a step may go on as, by the tools that it calls or lets its agent call."""
        return [(tool, inside) for tool in each.callable if (inside := self.tools.get(tool, ToolFacts()).inside) is not None]


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of the document: at `pointer` (a JSON pointer) of the step at `path` (`rate/assess`; empty: the flow) stands `value`."""

    path: str
    pointer: str
    value: Any


@dataclass(frozen=True, slots=True)
class Finding:
    """`path` is the step's, empty where it is about the flow. `fix` are edits that mend it, all together; empty where a person
    must decide how."""

    slug: str
    question: Question
    weight: Weight
    path: str
    label: str
    message: str
    why: str
    fix: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A step with its path, and whether it is reached only behind an approval. `graph` is the one that it stands in."""

    node: Node
    path: str
    approved: bool
    graph: Graph
    holder: str

    @property
    def label(self) -> str:
        return label_of(self.node.key, self.node.label)

    @property
    def route(self) -> str | None:
        return next(iter(self.node.kind.routes(self.node.settings)), None)

    @property
    def is_agent(self) -> bool:
        return self.node.kind.slug == "agent"

    @property
    def tool(self) -> str | None:
        return getattr(self.node.settings, "tool", None) if self.node.kind.slug == "tool" else None

    @property
    def callable(self) -> list[str]:
        """The tools that it calls, or may, where it is an agent."""
        if not self.is_agent:
            return [self.tool] if self.tool else []
        settings: Any = self.node.settings
        return [grant.tool for grant in settings.tools if settings.leash_of(grant) != "never"]


def placed(graph: Graph, holder: str = "", approved: bool = False) -> Iterator[Placed]:
    """Every step, those of bodies behind the one that holds them."""
    free = _without_approval(graph)
    for key, node in graph.nodes.items():
        path = f"{holder}/{key}" if holder else key
        here = Placed(node, path, approved or key not in free, graph, holder)
        yield here
        if node.body is not None:
            yield from placed(node.body, path, here.approved)


def _without_approval(graph: Graph) -> set[str]:
    """The steps that can be reached without anybody's approval."""
    seen, ready = set(graph.start), list(graph.start)
    while ready:
        node = graph.nodes[ready.pop()]
        if node.kind.slug == "approval":
            meanings: Mapping[str, str] = getattr(node.settings, "outcomes", {})
            ports = {port: targets for port, targets in node.outgoing.items() if meanings.get(port) != "approve"}
        else:
            ports = dict(node.outgoing)
        fresh = {target for targets in ports.values() for target in targets} - seen
        seen |= fresh
        ready += fresh
    return seen


def findings(flow: Flow, ground: Ground) -> list[Finding]:
    """What is found, the serious first, each sort in the order of the document."""
    steps = list(placed(flow.graph))
    found = [*_of_flow(flow, steps, ground)]
    for each in steps:
        found += [
            *_of_models(each, ground),
            *_of_effects(each, flow, ground),
            *_of_inside(each, ground),
            *_of_people(each, ground),
        ]
    return sorted(found, key=lambda finding: finding.weight != "serious")


def _finding(each: Placed, slug: str, question: Question, weight: Weight, message: str, why: str, *fix: Edit) -> Finding:
    return Finding(slug, question, weight, each.path, each.label, message, why, fix)


def reaches_outside(each: Placed) -> bool:
    return each.node.role is Role.EFFECT or each.is_agent


def asks_models(each: Placed) -> bool:
    return reaches_outside(each) and each.route is not None


def _of_flow(flow: Flow, steps: list[Placed], ground: Ground) -> Iterator[Finding]:
    limits = flow.document.limits or Limits()
    paying = (asks_models(each) or any(inside.asks_models for _, inside in ground.behind(each)) for each in steps)
    if limits.cost is None and any(paying):
        edit = (
            Edit("", "/limits", {"cost": FIRST_CAP, "at_limit": "pause"})
            if flow.document.limits is None
            else Edit("", "/limits/cost", FIRST_CAP)
        )
        yield Finding(
            "no_cap",
            "cost",
            "serious",
            "",
            "The flow",
            "A run may spend without end: the flow has no cost limit",
            "A prompt that grows or a list that is longer than expected is paid for in full before anybody notices.",
            (edit,),
        )
    handled = flow.document.on_error is not None or any(
        each.node.outgoing.get("error") or each.node.on_error == "continue" for each in steps
    )
    if not handled and any(reaches_outside(each) for each in steps):
        yield Finding(
            "no_error_path",
            "errors",
            "advice",
            "",
            "The flow",
            "No step says what happens when it fails",
            "A failure ends the run, and nobody is told but by the list of runs. Lead the error port of the step that matters most "
            "to one that notifies somebody.",
        )


def _of_models(each: Placed, ground: Ground) -> Iterator[Finding]:
    if not asks_models(each) or each.route is None:
        return
    route = ground.routes.get(each.route)
    if route is None and each.route in ground.models:
        better = next((slug for slug, facts in ground.routes.items() if facts.candidates[:1] == (each.route,)), None)
        fix = (Edit(each.path, "/with/route", better),) if better is not None else ()
        message = f"It is wired to one model, {each.route}"
        why = (
            "When that model is down, slow or withdrawn, so is this step. A route tries others, and is changed without the flow."
        )
        yield _finding(each, "one_model", "errors", "serious", message, why, *fix)
    elif route is not None and len(route.candidates) < 2:
        message = f"Its route {each.route} has one model only"
        yield _finding(each, "one_model", "errors", "serious", message, "When that model is down, nothing takes its place.")
    elif route is not None and not route.fall_back_on:
        message = f"Its route {each.route} never falls back"
        yield _finding(
            each, "no_fallback", "errors", "advice", message, "Its other models stand by, but no failure calls on them."
        )
    if each.is_agent:
        yield from _of_agents(each)
    elif each.node.timeout is None and (route is None or route.timeout is None):
        edit = Edit(each.path, "/timeout", FIRST_TIME)
        why = "A provider that answers slowly holds up everything behind this step."
        yield _finding(each, "no_time_limit", "errors", "advice", "Neither the step nor its route bounds the time", why, edit)


def _of_agents(each: Placed) -> Iterator[Finding]:
    limits = each.node.limits
    if limits is None or limits.cost is None:
        edit = Edit(each.path, "/limits", {"cost": "0.25"}) if limits is None else Edit(each.path, "/limits/cost", "0.25")
        why = "An agent decides itself how often it asks; only a limit of its own keeps it from using up the whole run’s."
        yield _finding(each, "unbounded", "cost", "advice", "The agent has no cost limit of its own", why, edit)
    if limits is None or limits.duration is None:
        edits = [] if limits is None else [Edit(each.path, "/limits/duration", "10m")]
        why = "Tools and models that answer slowly, turn after turn, hold up everything behind this step."
        yield _finding(each, "no_time_limit", "errors", "advice", "Nothing bounds the time of the agent", why, *edits)


def unasked(each: Placed, ground: Ground) -> list[str]:
    """The writing tools that an agent may call without anybody being asked, as long as nothing that it read taints the run."""
    settings: Any = each.node.settings
    if not each.is_agent:
        return []
    found = []
    for grant in settings.tools:
        facts, leash = ground.tools.get(grant.tool, ToolFacts()), settings.leash_of(grant)
        if facts.effect == "write" and (leash == "free" or (leash == "risky" and facts.reversible)):
            found.append(grant.tool)
    return found


def _asked(grant: Any, slug: str) -> dict[str, Any]:
    """The grant as it is written, that of this tool with people who are asked."""
    written: dict[str, Any] = grant.model_dump(exclude_none=True)
    return {**written, "leash": "ask"} if grant.tool == slug else written


def _of_effects(each: Placed, flow: Flow, ground: Ground) -> Iterator[Finding]:
    if not reaches_outside(each):
        return
    facts = ground.tools.get(each.tool or "", ToolFacts())
    repeatable = each.tool is None or facts.repeat in ("freely", "keyed")
    if each.node.retry.attempts == 1 and repeatable:
        edit = Edit(each.path, "/retry", SAFE_RETRY)
        why = "Most failures of models and services pass within seconds; tried once, each of them ends this step."
        yield _finding(each, "no_retry", "errors", "advice", "It is tried only once", why, edit)
    for slug in unasked(each, ground):
        if not ground.tools[slug].reversible:
            edit = Edit(each.path, "/with/tools", [_asked(grant, slug) for grant in each.node.settings.tools])  # type: ignore[attr-defined]
            why = "A model decides when it is called and with what; what it does cannot be undone."
            yield _finding(each, "no_approval", "approvals", "serious", f"The agent may call {slug} without asking", why, edit)
    if each.tool is None or facts.effect != "write":
        return
    if not each.approved:
        weight: Weight = "advice" if facts.reversible else "serious"
        message = f"{each.tool} changes the world without anybody’s approval" + (
            "" if facts.reversible else ", and not reversibly"
        )
        why = "On at least one path nobody looks at what is sent before it is sent."
        yield _finding(each, "no_approval", "approvals", weight, message, why, *_approval_before(each, flow))
    if facts.repeat == "freely":
        message = f"{each.tool} writes and may be repeated freely"
        why = "After a crash it is sent again, and does its work twice unless the service notices. Give it an idempotency header."
        yield _finding(each, "not_idempotent", "errors", "serious", message, why)
    elif facts.repeat in ("never", "lookup"):
        message = f"{each.tool} cannot be repeated"
        why = "After a crash or a lost answer nobody knows whether it was done, and the step fails as unknown. A key would mend that."
        yield _finding(each, "not_idempotent", "errors", "advice", message, why)


def _of_inside(each: Placed, ground: Ground) -> Iterator[Finding]:
    """Of tools that are flows and count as reading although these flows write."""
    for tool, inside in ground.behind(each):
        if inside.writes and not each.approved and ground.effect_of(tool) == "read":
            message = f"{tool} counts as reading, but its flow {inside.flow} calls {', '.join(inside.writes)} without anybody’s approval"
            why = (
                "Who looks at this flow takes the call for harmless. Let the tool count as one that writes, or let its flow ask."
            )
            yield _finding(each, "hidden_write", "approvals", "serious", message, why)


def _of_people(each: Placed, ground: Ground) -> Iterator[Finding]:
    if each.node.kind.slug != "approval":
        return
    settings: Any = each.node.settings
    if settings.due is None:
        rejecting = next((name for name, meaning in settings.outcomes.items() if meaning == "reject"), "escalate")
        edits = [Edit(each.path, "/with/due", FIRST_DUE)]
        if settings.at_deadline is None:
            edits.append(Edit(each.path, "/with/at_deadline", rejecting))
        why = "A request that nobody sees keeps its run waiting for ever."
        yield _finding(each, "no_deadline", "approvals", "advice", "It waits without a deadline", why, *edits)
    behind = [
        target
        for port, meaning in settings.outcomes.items()
        if meaning == "approve"
        for target in each.node.outgoing.get(port, ())
    ]
    writes = [key for key in behind if _writes(each.graph.nodes[key], ground)]
    if settings.seals is None and len(writes) == 1:
        edit = Edit(each.path, "/with/seals", writes[0])
        message = f"It does not seal {label_of(writes[0], each.graph.nodes[writes[0]].label)}"
        why = "What is approved is the text that is shown; sealed, exactly the approved arguments are sent, or nothing."
        yield _finding(each, "not_sealed", "approvals", "advice", message, why, edit)


def _writes(node: Node, ground: Ground) -> bool:
    tool = getattr(node.settings, "tool", None)
    return node.kind.slug == "tool" and isinstance(tool, str) and ground.tools.get(tool, ToolFacts()).effect == "write"


def _approval_before(each: Placed, flow: Flow) -> Iterable[Edit]:
    """The edits that put an approval before a tool step: everything that led to the tool leads to the approval."""
    document: Any = flow.document.as_json()
    for key in each.holder.split("/") if each.holder else []:
        document = document["steps"][key]["with"]["body"]
    root = "/with/body" if each.holder else ""
    key = f"approve_{each.node.key}"[:64]
    if key in document["steps"]:
        return
    edges = []
    for text in document["edges"]:
        edge = Edge(text)
        leads = edge.target == each.node.key
        edges.append(str(Edge(f"{edge.source}.{edge.port} -> {key}")) if leads else text)
    edges.append(f"{key}.approve -> {each.node.key}")
    step = {
        "kind": "approval",
        "label": f"Approve: {each.label}"[:200],
        "with": {
            "title": f"{each.label}?",
            "seals": each.node.key,
            "outcomes": {"approve": "approve", "reject": "reject"},
            "due": FIRST_DUE,
            "at_deadline": "reject",
        },
    }
    yield Edit(each.holder, f"{root}/steps/{key}", step)
    yield Edit(each.holder, f"{root}/edges", edges)


def applied(document: Mapping[str, Any], edits: Iterable[Edit]) -> dict[str, Any]:
    """The JSON document with the edits made, as the builder makes them."""
    whole: dict[str, Any] = json.loads(json.dumps(document))
    for edit in edits:
        spot: Any = whole
        for at, key in enumerate(edit.path.split("/") if edit.path else []):
            spot = (spot if at == 0 else spot["with"]["body"])["steps"][key]
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in edit.pointer.split("/")[1:]]
        for part in way:
            spot = spot.setdefault(part, {})
        spot[last] = json.loads(json.dumps(edit.value))
    return whole
