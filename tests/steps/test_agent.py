"""The step kind `agent`: its settings, its bounds, and what becomes of the calls that a model asks for."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.courses import Outcome, next_course
from flows.engine.failures import BadRequest
from flows.engine.kinds import Catalogue
from flows.engine.paths import enclosing, place_of
from flows.routing.providers.base import ToolRequest
from flows.steps.agent.conversation import MOST_OF_A_RESULT, heard_of
from flows.steps.agent.settings import AgentSettings
from flows.steps.agent.verdicts import Judge, Judged
from flows.tools.base import ToolSpec
from tests.engine.flows import make_flow, problems_of

CATALOGUE = Catalogue(routes=frozenset({"balanced"}), tools={"look.up": {}, "pay.out": {}})
EDGES = ["start -> research"]
SPECS = {
    "look.up": ToolSpec("look.up", "python", "read", "freely"),
    "pay.out": ToolSpec("pay.out", "http", "write", "keyed"),
    "pay.in": ToolSpec("pay.in", "http", "write", "keyed", reversible=True, policy="payments"),
    "note.put": ToolSpec("note.put", "http", "write", "keyed", reversible=True),
}


def agent(**settings: Any) -> dict[str, Any]:
    return {"research": {"kind": "agent", "with": {"route": "balanced", "prompt": "Look", **settings}}}


def judged(
    *asked: tuple[str, dict[str, Any]], turns: Any = (), tainted: str | None = None, at_limit: str = "stop", **settings: Any
) -> Judged:
    """The verdicts on what a turn asks for."""

    def check(slug: str, arguments: Any) -> None:
        if "wrong" in arguments:
            raise BadRequest(f"{slug}: arguments.wrong is not allowed")

    settings.setdefault("tools", list(SPECS))
    judge = Judge(AgentSettings(route="r", prompt="p", **settings), turns, SPECS.__getitem__, check, tainted, at_limit)
    return judge.judge([ToolRequest(str(n), name, arguments) for n, (name, arguments) in enumerate(asked)])


def turn(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"calls": list(calls), "asked": True}


def call(tool: str, arguments: dict[str, Any], verdict: str = "run") -> dict[str, Any]:
    return {"tool": tool, "arguments": arguments, "verdict": verdict}


# ---------------------------------------------------------------------- the document


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tools": ["look.upp"]}, "the tool `look.upp` is not in the catalogue. Did you mean `look.up`?"),
        ({"tools": ["look.up", {"tool": "look.up"}]}, "the tool `look.up` is granted twice"),
        ({"tools": [{"tool": "look.up", "leash": "loose"}]}, "leash"),
        ({"max_turns": 0}, "max_turns"),
        ({"prompt": None}, "either `prompt` or `messages`"),
        ({"turns": 3}, "turns"),
    ],
)
def test_what_is_wrong_with_an_agent_is_said_with_its_place(settings: dict[str, Any], said: str) -> None:
    problems = problems_of(agent(**settings), EDGES, CATALOGUE)

    assert any(said in problem and "research" in problem for problem in problems), problems


def test_its_time_is_bounded_by_its_limits_and_as_any_steps() -> None:
    for bound in ({"limits": {"duration": "5m"}}, {"timeout": "1m"}, {"deadline": "1m"}):
        assert problems_of({"research": {**agent()["research"], **bound}}, EDGES, CATALOGUE) == []


def test_nobody_to_decide_on_what_it_asks_is_a_warning() -> None:
    flow = make_flow(agent(tools=["pay.out"]), EDGES, CATALOGUE)

    assert ["nobody is named who may decide on its calls" in str(each) for each in flow.warnings] == [True]


# ---------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("tool", "leash", "tainted", "verdict"),
    [
        ("look.up", "free", None, "run"),
        ("look.up", "risky", "web.fetch", "run"),
        ("look.up", "ask", None, "ask"),
        ("pay.out", "free", None, "run"),
        ("pay.out", "free", "web.fetch", "ask"),
        ("pay.out", "risky", None, "ask"),
        ("note.put", "risky", None, "run"),
        ("note.put", "risky", "web.fetch", "ask"),
        ("pay.out", "never", None, "no"),
    ],
)
def test_the_leash_and_the_taint_decide_who_is_asked(tool: str, leash: str, tainted: str | None, verdict: str) -> None:
    (found,) = judged((tool, {}), leash=leash, tainted=tainted).calls

    assert found["verdict"] == verdict
    assert bool(found["why"]) == (verdict != "run")


@pytest.mark.parametrize(
    ("leash", "tainted", "verdict"),
    [("risky", None, "rule"), ("risky", "web.fetch", "ask"), ("ask", None, "ask"), ("free", None, "run")],
)
def test_a_tools_own_policy_rules_where_the_leash_asks_about_what_is_risky(leash: str, tainted: str | None, verdict: str) -> None:
    (found,) = judged(("pay.in", {}), leash=leash, tainted=tainted).calls

    assert found["verdict"] == verdict


def test_a_tools_own_leash_goes_before_the_agents() -> None:
    grants = ["look.up", {"tool": "pay.out", "leash": "free"}]

    found = judged(("look.up", {}), ("pay.out", {}), leash="ask", tools=grants).calls

    assert [each["verdict"] for each in found] == ["ask", "run"]


def test_calls_of_one_turn_count_among_each_other() -> None:
    found = judged(("look.up", {"n": 1}), ("look.up", {"n": 2}), tools=[{"tool": "look.up", "calls": 1}])

    assert [each["verdict"] for each in found.calls] == ["run", "no"]
    assert found.bound == "calls"


def test_the_third_of_the_same_call_is_not_made_whatever_the_order_of_its_arguments() -> None:
    before = [turn(call("look.up", {"a": 1, "b": 2})), turn(call("look.up", {"b": 2, "a": 1}))]

    found = judged(("look.up", {"a": 1, "b": 2}), turns=before)
    asked = judged(("look.up", {"a": 1, "b": 2}), turns=before, at_limit="pause")

    assert (found.calls[0]["verdict"], found.bound) == ("no", "repeated")
    assert (asked.calls[0]["verdict"], asked.bound) == ("ask", "")


def test_wrong_calls_in_three_turns_end_it_and_one_good_call_in_between_does_not() -> None:
    wrong = turn(call("look.up", {"wrong": 1}, "no"))

    assert judged(("look.up", {"wrong": 1}), turns=[wrong, wrong]).bound == "errors"
    assert judged(("look.up", {"wrong": 1}), turns=[wrong, turn(call("look.up", {})), wrong]).bound == ""


# ---------------------------------------------------------------------- what the model hears


def test_a_long_result_is_cut_and_says_so() -> None:
    result = {"call[0]": {"output": "x" * (MOST_OF_A_RESULT + 5), "outcome": "done", "error": None}}

    heard = heard_of(call("look.up", {}), result, 0)

    assert heard.endswith(f"… (cut: {MOST_OF_A_RESULT + 5:,} characters)")
    assert len(heard) < MOST_OF_A_RESULT + 50


# ---------------------------------------------------------------------- paths and passes


def test_paths_of_turns_and_calls_lead_to_their_steps() -> None:
    flow = make_flow(agent(tools=["pay.out"]), EDGES, CATALOGUE)

    place = place_of(flow, "research.turn[3].call[1]")

    assert place is not None
    assert (place.node.kind.slug, place.prefix, place.index) == ("call", "research.turn[3].", 3)
    assert place.owner is not None
    assert place.owner.path == "research"
    assert place_of(flow, "research.turn[3].other") is None
    assert list(enclosing("research.turn[3].call[1]")) == [
        "research",
        "research.turn",
        "research.turn[3]",
        "research.turn[3].call",
    ]


def test_a_turn_that_failed_is_taken_again_behind_what_was_done() -> None:
    flow = make_flow(agent(tools=["pay.out"]), EDGES, CATALOGUE)
    paths = ["research", "research.turn[0].model", "research.turn[0].call[0]", "research.turn[1].model"]
    failed = {"research", "research.turn[1].model"}
    rows = [Outcome(n, path, "failed" if path in failed else "succeeded") for n, path in enumerate(paths)]

    course = next_course(flow, rows)

    assert (course.kept, course.reopened) == ((0, 1, 2), frozenset({0}))
    assert course.again == ("research.turn[1].model",)


def test_taking_a_turn_again_drops_the_turns_behind_it() -> None:
    flow = make_flow(agent(tools=["pay.out"]), EDGES, CATALOGUE)
    paths = ["research.turn[0].model", "research.turn[0].call[0]", "research.turn[1].model", "research"]
    rows = [Outcome(n, path, "succeeded") for n, path in enumerate(paths)]

    course = next_course(flow, rows, "research.turn[0].call[0]")

    assert course.again == ("research.turn[0].call[0]", "research.turn[1].model")
