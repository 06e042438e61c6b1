"""Random flows that compile: chains, branches, joins of both sorts, error edges, handlers, approvals and waits, and maps, loops and
sub-flows inside one another."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from flows.engine.document import parse_document
from flows.engine.graph import Flow, compile_flow
from flows.engine.plan import Child
from orchestrator.catalogue import step_kinds


def compiled(document: dict[str, Any]) -> Flow:
    return compile_flow(parse_document(json.dumps(document)), step_kinds())


@st.composite
def documents(draw: st.DrawFn, depth: int = 2, *, ordered: bool = False) -> dict[str, Any]:
    """A document. With `ordered` nothing in it depends on which of two parallel steps is first, so no failure ends a body."""
    document = {
        "orchestrator": 1,
        "name": "Random",
        "input": {"type": "object", "additionalProperties": True},
        "state": {"n": 0},
        **draw(bodies(depth, ordered)),
    }
    document["output"]["n"] = "{{ state.n }}"
    if draw(st.booleans()):
        document["on_error"] = _without_output(draw(bodies(min(depth, 1), ordered)))
    return document


@st.composite
def families(draw: st.DrawFn, *, ordered: bool = False) -> list[dict[str, Any]]:
    """A document and those that its sub-flows run, by their place in the list; the last ones run none."""
    return [draw(documents(depth=depth, ordered=ordered)) for depth in (2, 1, 0)]


def family(documents: list[dict[str, Any]]) -> tuple[Flow, dict[str, Child]]:
    """The flow of the first document, and what its sub-flows run, by name and by version."""
    flows = [compiled(document) for document in documents]
    known = [Child(flow, f"flow{number}", 1, f"version{number}") for number, flow in enumerate(flows)]
    return flows[0], {child.slug: child for child in known} | {child.version: child for child in known}


@st.composite
def bodies(draw: st.DrawFn, depth: int, ordered: bool) -> dict[str, Any]:
    count = draw(st.integers(1, 6 if depth == 2 else 3))
    steps: dict[str, Any] = {}
    edges: list[str] = []
    for number in range(count):
        key = f"s{number}"
        steps[key] = draw(settings(depth, ordered))
        if number == 0:
            edges.append(f"start -> {key}")
            continue
        sources = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2, unique=True))
        for source in sources:
            ports = [*_ports(steps[f"s{source}"]), "error"]
            edges.append(f"s{source}.{draw(st.sampled_from(ports))} -> {key}")
        if len(sources) > 1 and not ordered and draw(st.booleans()):
            steps[key]["join"] = "any"
    shown = {key: f"{{{{ get(steps.{key}, 'output') }}}}" for key in steps}
    return {"steps": steps, "edges": edges, "output": shown}


@st.composite
def settings(draw: st.DrawFn, depth: int, ordered: bool) -> dict[str, Any]:
    kinds = ["set", "branch", "tool", "tool", "approval", "wait", "check"] + (["map", "loop", "subflow"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    on_error = "continue" if ordered else draw(st.sampled_from(["fail", "fail", "continue"]))
    step: dict[str, Any] = {"kind": kind, "on_error": on_error}
    match kind:
        case "set":
            step["with"] = {"values": {"x": "{{ 1 + 1 }}"}}
            step["with"]["state"] = {"n": "{{ state.n + 1 }}"}
        case "branch":
            step["with"] = {
                "cases": [{"port": "yes", "when": draw(st.sampled_from(["true", "false", "1 / 0 > 1"]))}],
                "else": "no",
            }
        case "tool":
            step["with"] = {"tool": "any.tool", "arguments": {"n": 1}}
            step["retry"] = {"attempts": draw(st.integers(1, 3))}
        case "approval":
            step["with"] = {"title": "May it?", "payload": {"a": 1}, "approvers": {"teams": ["finance"]}}
        case "wait":
            step["with"] = {"for": "1s"}
        case "check":
            then = draw(st.sampled_from(["fail", "ask", "stop"]))
            step["with"] = {"value": "abc", "rules": [{"type": "length", "max": draw(st.sampled_from([2, 5])), "then": then}]}
        case "map":
            items = draw(st.sampled_from(["[]", "[1, 2, 3]", "[1, 2, 3, 4, 5, 6, 7]", "null"]))
            body = draw(bodies(depth - 1, ordered))
            step["with"] = {
                "over": items,
                "concurrency": draw(st.integers(1, 3)),
                "on_item_error": "collect" if ordered else draw(st.sampled_from(["stop", "collect"])),
                "body": body,
            }
        case "loop":
            step["with"] = {"max": draw(st.integers(1, 4)), "body": draw(bodies(depth - 1, ordered))}
            until = draw(st.sampled_from([None, "loop.round == 2", "loop.previous is None", "false"]))
            if until is not None:
                step["with"]["until"] = until
        case "subflow":
            step["with"] = {"flow": f"flow{3 - depth}", "input": {"n": "{{ get(input, 'n', 0) + 1 }}"}}
    if kind in {"map", "loop", "subflow"}:
        step["retry"] = {"attempts": draw(st.integers(1, 2))}
    return step


def _without_output(body: dict[str, Any]) -> dict[str, Any]:
    return {"steps": body["steps"], "edges": body["edges"]}


def _ports(step: dict[str, Any]) -> list[str]:
    return {
        "branch": ["yes", "no"],
        "approval": ["approve", "reject"],
        "check": ["pass", "fail", "ask"],
        "loop": ["done", "limit"],
    }.get(step["kind"], ["done"])
