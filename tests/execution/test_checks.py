"""Checks by which a model judges: what the judge says decides the port, and what it costs is the run's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flows.models import Run
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, error_of, finish, make_model, output_of, start, types_of


def judged(score: float, *more: dict[str, Any], **rule: Any) -> Run:
    saying = json.dumps({"score": score, "reason": "It shouts."})
    judge = {"type": "judge", "route": "sim-a", "rubric": f"Polite. [[sim: say={saying}]]", **rule}
    steps = {
        "a": {"kind": "check", "with": {"value": "GO AWAY", "rules": [*more, judge]}},
        **{port: {"kind": "set", "with": {"values": {"port": port}}} for port in ("fine", "poor", "people")},
    }
    edges = ["start -> a", "a.pass -> fine", "a.fail -> poor", "a.ask -> people"]
    output = {"port": "{{ [s.port for s in [steps.fine.output, steps.poor.output, steps.people.output] if s is not None][0] }}"}
    return finish(start(steps, edges, output={**output, "findings": "{{ steps.a.output.findings }}"}))


@pytest.mark.parametrize(
    ("score", "then", "port"), [(0.9, "fail", "fine"), (0.7, "fail", "fine"), (0.2, "fail", "poor"), (0.2, "ask", "people")]
)
def test_the_score_decides_the_port_and_the_judge_is_charged_to_the_run(drive: Drive, score: float, then: str, port: str) -> None:
    make_model()
    drive()

    run = judged(score, then=then)

    given = output_of(run)
    assert given["port"] == port
    if port != "fine":
        assert given["findings"] == [
            {"rule": "judge", "message": f"the judge gives {score:g} of at least 0.7: It shouts.", "then": then}
        ]
    (call,) = calls_of(run, "a")
    assert (call.kind, call.target, call.status) == ("model", "sim-a", "succeeded")
    assert run.spent == call.settled
    assert run.spent > 0
    asked = json.loads(call.request or "{}")["messages"]
    assert asked[0]["content"].startswith("You judge a text by a rubric.")
    assert "GO AWAY" in asked[1]["content"]
    assert types_of(run).count("step.started") == 1


def test_a_judge_may_stop_the_run(drive: Drive) -> None:
    make_model()
    drive()

    run = judged(0.1, then="stop")

    assert (run.status, run.reason) == ("failed", "check_failed")
    assert error_of(run)["message"] == "the judge gives 0.1 of at least 0.7: It shouts."
    assert run.spent > 0


def test_the_judge_sees_the_value_as_the_rules_before_have_left_it(drive: Drive) -> None:
    make_model()
    drive()

    run = judged(1, {"type": "length", "max": 2, "then": "fix"})

    (call,) = calls_of(run, "a")
    assert json.loads(call.request or "{}")["messages"][1]["content"].endswith("Text:\nGO")


def test_a_judge_that_does_not_answer_fails_the_step(drive: Drive) -> None:
    make_model(settings={"fail": "unavailable"})
    drive()

    run = judged(1)

    assert (run.status, run.reason) == ("failed", "unavailable")
