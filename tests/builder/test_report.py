"""The dependability report: what it says, what it finds, and that what it proposes mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.builder.findings import Finding, Ground, RouteFacts, ToolFacts, applied
from flows.builder.report import Report, report_on
from flows.engine.document import load_document, parse_document
from flows.engine.graph import compile_flow
from orchestrator.catalogue import step_kinds

GROUND = Ground(
    routes={
        "balanced": RouteFacts(("small", "large"), ("rate_limit",), 20.0),
        "lonely": RouteFacts(("small",), ("rate_limit",), None),
        "stiff": RouteFacts(("large", "small"), (), None),
    },
    models=frozenset({"small", "large"}),
    tools={
        "refund": ToolFacts("write", "keyed", False),
        "post": ToolFacts("write", "keyed", True),
        "pay": ToolFacts("write", "never", False),
        "ring": ToolFacts("write", "freely", True),
        "look": ToolFacts("read", "freely", False),
    },
)
ASK = {"kind": "model", "with": {"route": "balanced", "prompt": "x"}, "retry": {"attempts": 3}}
APPROVE = {
    "kind": "approval",
    "with": {"title": "Refund?", "seals": "act", "approvers": {"teams": ["finance"]}, "due": "4h", "at_deadline": "reject"},
}


def flow_of(steps: dict[str, Any], edges: list[str], **more: Any) -> dict[str, Any]:
    limits = {"cost": "0.50", "at_limit": "stop"}
    return {"orchestrator": 1, "name": "x", "limits": limits, "steps": steps, "edges": edges, "output": "y", **more}


def report_of(document: dict[str, Any]) -> Report:
    return report_on(compile_flow(load_document(document), step_kinds()), GROUND)


def slugs(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each.slug, each.path) for each in report_of(document).findings}


def one(document: dict[str, Any], slug: str) -> Finding:
    (found,) = [each for each in report_of(document).findings if each.slug == slug]
    return found


def act(tool: str, **more: Any) -> dict[str, Any]:
    return {"kind": "tool", "with": {"tool": tool}, "retry": {"attempts": 3}, **more}


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "one model, hard-wired": (
        flow_of({"a": {**ASK, "with": {"route": "small", "prompt": "x"}}}, ["start -> a"]),
        "one_model",
        "a",
    ),
    "a route of one": (flow_of({"a": {**ASK, "with": {"route": "lonely", "prompt": "x"}}}, ["start -> a"]), "one_model", "a"),
    "no fallback": (flow_of({"a": {**ASK, "with": {"route": "stiff", "prompt": "x"}}}, ["start -> a"]), "no_fallback", "a"),
    "no time limit": (flow_of({"a": {**ASK, "with": {"route": "stiff", "prompt": "x"}}}, ["start -> a"]), "no_time_limit", "a"),
    "no retry": (flow_of({"a": {"kind": "model", "with": ASK["with"]}}, ["start -> a"]), "no_retry", "a"),
    "no cap": (flow_of({"a": ASK}, ["start -> a"], limits={"steps": 3}), "no_cap", ""),
    "no limits at all": ({k: v for k, v in flow_of({"a": ASK}, ["start -> a"]).items() if k != "limits"}, "no_cap", ""),
    "no error path": (flow_of({"a": ASK}, ["start -> a"]), "no_error_path", ""),
    "a write without approval": (flow_of({"a": ASK, "act": act("refund")}, ["start -> a", "a -> act"]), "no_approval", "act"),
    "a write that may be made twice": (flow_of({"act": act("ring")}, ["start -> act"]), "not_idempotent", "act"),
    "a write that cannot be repeated": (flow_of({"act": act("pay")}, ["start -> act"]), "not_idempotent", "act"),
    "an approval without deadline": (
        flow_of(
            {"ok": {"kind": "approval", "with": {"title": "?", "seals": "act"}}, "act": act("refund")},
            ["start -> ok", "ok.approve -> act"],
        ),
        "no_deadline",
        "ok",
    ),
    "an approval that seals nothing": (
        flow_of(
            {"ok": {"kind": "approval", "with": {"title": "?", "due": "1d"}}, "act": act("refund")},
            ["start -> ok", "ok.approve -> act"],
        ),
        "not_sealed",
        "ok",
    ),
    "a write within a map": (
        flow_of(
            {
                "each": {
                    "kind": "map",
                    "with": {"over": "[1]", "body": {"steps": {"act": act("refund")}, "edges": ["start -> act"], "output": 1}},
                }
            },
            ["start -> each"],
        ),
        "no_approval",
        "each/act",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_mistake_is_found_and_its_fix_mends_it(name: str) -> None:
    document, slug, path = CASES[name]

    found = one(document, slug)

    assert found.path == path
    assert found.message
    assert found.why
    if found.fix:
        mended = applied(load_document(document).as_json(), found.fix)
        assert (slug, path) not in slugs(mended)
        compile_flow(load_document(mended), step_kinds())


@pytest.mark.parametrize("name", ["no cap", "no retry", "a write without approval", "an approval that seals nothing"])
def test_what_is_certain_has_a_fix(name: str) -> None:
    document, slug, _ = CASES[name]

    assert one(document, slug).fix


def test_a_path_around_the_approval_is_found() -> None:
    branch = {"kind": "branch", "with": {"cases": [{"port": "large", "when": "input.amount > 100"}], "else": "small"}}
    steps = {"decide": branch, "ok": APPROVE, "act": act("refund")}
    around = flow_of(steps, ["start -> decide", "decide.large -> ok", "decide.small -> act", "ok.approve -> act"])
    through = flow_of(steps, ["start -> decide", "decide.large -> ok", "decide.small -> ok", "ok.approve -> act"])

    assert ("no_approval", "act") in slugs(around)
    assert ("no_approval", "act") not in slugs(through)


def test_a_rejected_outcome_approves_nothing() -> None:
    document = flow_of(
        {"ok": APPROVE, "act": act("refund"), "tell": act("post")}, ["start -> ok", "ok.approve -> act", "ok.reject -> tell"]
    )

    assert one(document, "no_approval").path == "tell"
    assert one(document, "no_approval").weight == "advice", "it can be undone"


def test_a_dependable_flow_has_nothing_to_mend() -> None:
    document = flow_of(
        {
            "a": ASK,
            "ok": APPROVE,
            "act": act("refund"),
            "failed": {"kind": "set", "with": {"values": {"why": "{{ error.message }}"}}},
        },
        ["start -> a", "a -> ok", "a.error -> failed", "ok.approve -> act"],
    )

    report = report_of(document)

    assert report.findings == ()
    assert report.in_words == "Nothing to mend"
    said = {answer.question: " ".join(answer.sentences) for answer in report.answers}
    assert said == {
        "sequence": "It has 4 steps and begins with A. The path is fixed by the document: models fill in answers and choose nothing.",
        "errors": "Of 2 steps that reach outside, 2 are tried again after a failure that may pass. Route balanced asks small first "
        "and falls back to large. When A fails, Failed follows. When Act fails for good, the run fails.",
        "cost": "A run may use at most $0.50; at the limit the run stops. The length of the answer is bounded in 0 of 1 model step.",
        "approvals": "Ok asks team finance, within 4h, and seals what act sends. Only behind an approval: Act. "
        "Nobody decides on a run that they started, and a time-out never approves.",
    }


def test_a_branch_that_hears_a_model_is_said() -> None:
    demo = Path(__file__).parents[2] / "orchestrator" / "demo_flows" / "refund_decision.yaml"

    report = report_on(compile_flow(parse_document(demo.read_text()), step_kinds()), GROUND)

    assert "a model’s answer decides which of them is taken" in " ".join(report.answers[0].sentences)
    assert json.dumps([each.fix and each.fix[0].value for each in report.findings])


# ---------------------------------------------------------------------- agents


def agent(*tools: Any, limits: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    limits = limits or {"cost": "0.20", "duration": "10m", "at_limit": "finish"}
    given = {"route": "balanced", "prompt": "x", "tools": list(tools), "max_turns": 6, **settings}
    return {"kind": "agent", "with": given, "limits": limits, "retry": {"attempts": 3}}


def sentences(document: dict[str, Any]) -> str:
    return " ".join(sentence for answer in report_of(document).answers for sentence in answer.sentences)


def test_it_says_what_an_agent_may_do_and_when_people_are_asked() -> None:
    step = agent("look", "refund", {"tool": "post", "leash": "free"}, {"tool": "pay", "leash": "never"})

    said = sentences(flow_of({"work": step}, ["start -> work"]))

    assert "within at most 6 turns and 4 calls at once; at a bound it is told to conclude" in said
    assert "Work may call look, refund and post." in said
    assert "People are asked before each call of refund, with exactly what would be sent." in said
    assert "It may call post without asking, until it has read what others wrote." in said


def test_an_agent_that_pays_without_asking_is_serious_and_the_fix_mends_it() -> None:
    document = flow_of({"work": agent({"tool": "pay", "leash": "free"})}, ["start -> work"])

    found = one(document, "no_approval")

    assert found.weight == "serious"
    assert ("no_approval", "work") not in slugs(applied(document, found.fix))


def test_an_agent_without_bounds_of_its_own_is_told() -> None:
    step = agent("look", limits={"tokens": 1000})

    assert {("unbounded", "work"), ("no_time_limit", "work")} <= slugs(flow_of({"work": step}, ["start -> work"]))
