"""Random flows that compile: chains, branches, joins of both sorts, error edges, maps inside maps, approvals and waits."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from flows.engine.document import parse_document
from flows.engine.graph import Flow, compile_flow
from orchestrator.catalogue import step_kinds


def compiled(document: dict[str, Any]) -> Flow:
    return compile_flow(parse_document(json.dumps(document)), step_kinds())


@st.composite
def documents(draw: st.DrawFn, depth: int = 2, *, ordered: bool = False) -> dict[str, Any]:
    """A document. With `ordered` nothing in it depends on which of two parallel steps is first, so no failure ends a body."""
    body = draw(bodies(depth, ordered))
    return {
        "orchestrator": 1,
        "name": "Random",
        "input": {"type": "object", "additionalProperties": True},
        "state": {"n": 0},
        **body,
    }


@st.composite
def bodies(draw: st.DrawFn, depth: int, ordered: bool) -> dict[str, Any]:
    count = draw(st.integers(1, 6))
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
    kinds = ["set", "branch", "tool", "tool", "approval", "wait", "check"] + (["map"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    on_error = "continue" if ordered else draw(st.sampled_from(["fail", "fail", "continue"]))
    step: dict[str, Any] = {"kind": kind, "on_error": on_error}
    match kind:
        case "set":
            step["with"] = {"values": {"x": "{{ 1 + 1 }}"}}
            if not ordered:
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
    return step


def _ports(step: dict[str, Any]) -> list[str]:
    return {"branch": ["yes", "no"], "approval": ["approve", "reject"], "check": ["pass", "fail", "ask"]}.get(
        step["kind"], ["done"]
    )
