"""Sample flows for the canvas beside those of the demo, and how it offers the kinds."""

from __future__ import annotations

from typing import Any

WIDE = 300  # steps of the sample that is to be slow

OFFERED: dict[str, dict[str, Any]] = {
    "model": {"group": "Models", "defaults": {"route": "balanced", "prompt": ""}},
    "tool": {"group": "Tools", "defaults": {"tool": ""}},
    "branch": {
        "ports": [{"from": "with.cases[].port", "plus": ["with.else"], "or": ["else"]}],
        "defaults": {"cases": [{"port": "yes", "when": ""}], "else": "no"},
    },
    "check": {"ports": ["pass", "fail", "ask"]},
    "map": {"container": True, "defaults": {"over": ""}},
    "set": {},
    "wait": {"ports": ["done", "timeout"], "defaults": {"for": "1h"}},
    "approval": {"group": "People", "ports": [{"keys": "with.outcomes", "or": ["approve", "reject"]}]},
    "note": {"group": "Notes", "ports": [], "error": False, "defaults": {"text": ""}},
}


def empty() -> dict[str, Any]:
    return {"orchestrator": 1, "name": "Empty", "steps": {}, "edges": []}


def nested() -> dict[str, Any]:
    """A frame in a frame, with steps around them."""
    rounds = {
        "steps": {"draft": {"kind": "model", "with": {"route": "balanced"}}, "judge": {"kind": "check", "with": {}}},
        "edges": ["start -> draft", "draft -> judge"],
        "output": None,
    }
    inner = {
        "steps": {
            "polish": {"kind": "map", "with": {"over": "item.parts", "body": rounds}},
            "send": {"kind": "tool", "with": {"tool": "mail.send"}},
        },
        "edges": ["start -> polish", "polish -> send"],
        "output": None,
    }
    steps = {
        "collect": {"kind": "tool", "with": {"tool": "leads.list"}},
        "each": {"kind": "map", "with": {"over": "steps.collect.output", "body": inner}},
        "report": {"kind": "set", "with": {"values": {"sent": "{{ len(steps.each.output) }}"}}},
        "alarm": {"kind": "tool", "with": {"tool": "mail.send"}},
    }
    edges = ["start -> collect", "collect -> each", "each -> report", "each.error -> alarm", "collect.error -> alarm"]
    return {"orchestrator": 1, "name": "Nested", "steps": steps, "edges": edges}


def wide() -> dict[str, Any]:
    """Many branches beside one another, each a chain of steps."""
    kinds = ["model", "tool", "check", "set", "approval"]
    ports = {"check": ".pass", "approval": ".approve"}
    steps: dict[str, Any] = {"sort": {"kind": "branch", "with": {"cases": [], "else": "none"}}}
    edges = ["start -> sort"]
    lanes = 20
    for number in range(WIDE - 1):
        lane, place = number % lanes, number // lanes
        kind = kinds[(lane + place) % len(kinds)]
        steps[f"s{number}"] = {"kind": kind, "label": f"Step {place + 1} of lane {lane + 1}", "with": {}}
        if place == 0:
            steps["sort"]["with"]["cases"].append({"port": f"lane_{lane + 1}", "when": "true"})
            edges.append(f"sort.lane_{lane + 1} -> s{number}")
        else:
            before = number - lanes
            edges.append(f"s{before}{ports.get(steps[f's{before}']['kind'], '')} -> s{number}")
            if number % 7 == 0 and lane:
                edges.append(f"s{before - 1}.error -> s{number}")
    return {"orchestrator": 1, "name": "Wide", "steps": steps, "edges": edges}
