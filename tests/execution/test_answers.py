"""Answers of a given form, and answers that are used again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flows.models import Flow, ModelEntry, Run
from flows.runs.actions.start_run import start_run
from flows.runs.receipts import receipt_of
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, finish, model, output_of, start, until
from tests.execution.services import TOPIC, Pair
from tests.makers import make_actor
from tests.servers.model_server import ModelServer


def ask(route: str = "primary", **with_: Any) -> Run:
    steps = {"a": model("Which topic?", route, with_={"output": TOPIC, **with_})}
    return start(steps, ["start -> a"], output="{{ steps.a.output }}")


def messages_of(server: ModelServer, number: int) -> list[dict[str, Any]]:
    return list(server.asked[number]["body"]["messages"])


@pytest.mark.parametrize("capabilities", [["json"], []])
def test_an_answer_of_another_form_is_sent_back_with_what_is_wrong(drive: Drive, pair: Pair, capabilities: list[str]) -> None:
    ModelEntry.objects.filter(slug="primary").update(capabilities=capabilities)
    pair[0].behaves("bad_json", {"behave": "", "say": '{"topic":"refund"}'})
    drive()

    run = finish(ask())

    assert output_of(run) == {"topic": "refund"}
    wrong, repaired = calls_of(run)
    assert (wrong.status, wrong.error_class, wrong.n) == ("failed_retryable", "invalid_output", 1)
    assert (repaired.status, repaired.n, repaired.target) == ("succeeded", 2, "primary")
    assert repaired.reason == "repair 1 of 2 at most: the answer was not of the schema"
    assert run.spent == (wrong.settled or 0) + (repaired.settled or 0)
    assert wrong.settled
    assert repaired.reserved > wrong.reserved
    *_, answer, problem = messages_of(pair[0], 1)
    assert answer == {"role": "assistant", "content": '{"topic": '}
    assert "primary did not answer with JSON" in problem["content"]
    asked = pair[0].asked[0]["body"]
    assert ("response_format" in asked) is bool(capabilities), "natively where the model can, by its words where it cannot"
    assert any("JSON Schema" in str(each["content"]) for each in asked["messages"]) is not bool(capabilities)


def test_repairs_are_bounded_and_then_the_next_candidate_is_asked(drive: Drive, pair: Pair) -> None:
    pair[0].behaves(*["bad_json"] * 9)
    drive()

    run = finish(ask("pair", repair=1))

    assert [call.target for call in calls_of(run)] == ["primary", "primary", "backup"]
    assert [call.status for call in calls_of(run)] == ["failed_retryable", "failed_retryable", "succeeded"]


def test_without_another_candidate_the_error_branch_is_taken(drive: Drive, pair: Pair) -> None:
    pair[0].behaves(*["bad_json"] * 9)
    drive()
    steps = {
        "a": model("Which topic?", "primary", with_={"output": TOPIC}),
        "b": {"kind": "set", "with": {"values": {"why": "{{ error.class }}"}}},
    }

    run = finish(start(steps, ["start -> a", "a.error -> b"], output="{{ steps.b.output }}"))

    assert output_of(run) == {"why": "invalid_output"}
    assert len(calls_of(run)) == 3


def test_an_answer_that_reached_the_limit_of_its_output_is_not_sent_back(drive: Drive, pair: Pair) -> None:
    pair[0].behaves({"behave": "length", "say": '{"topic":"refund"}'})
    drive()

    run = finish(ask())

    assert (run.reason, len(calls_of(run))) == ("invalid_output", 1)


def test_seed_temperature_and_the_limit_of_output_are_sent_to_each_candidate(drive: Drive, pair: Pair) -> None:
    pair[0].behaves("500")
    drive()

    finish(ask("pair", seed=7, temperature=0.2))

    for server in pair:
        sent = server.asked[0]["body"]
        assert (sent["seed"], sent["temperature"], sent["max_tokens"]) == (7, 0.2, 100)


# ---------------------------------------------------------------------- used again


def cached(prompt: str = "Which topic?", **with_: Any) -> dict[str, Any]:
    return {"a": model(prompt, "primary", with_={"cache": True, **with_})}


def again(flow: Flow) -> Run:
    return finish(start_run(make_actor("operator"), flow.slug, None))


def test_an_equal_question_of_a_flow_costs_nothing_and_says_so(drive: Drive, pair: Pair) -> None:
    drive()
    first = finish(start(cached(), ["start -> a"], output="{{ steps.a.output }}"))

    second = again(first.flow)

    assert output_of(second) == output_of(first)
    assert len(pair[0].asked) == 1
    (call,) = calls_of(second)
    assert (call.cached, call.settled, call.reserved, call.status, call.target) == (True, 0, 0, "succeeded", "primary")
    assert call.reason == "answered before by primary: an equal question, so nothing was sent"
    assert (second.spent, second.spent_tokens, second.unpriced) == (0, 0, 0)
    assert receipt_of(call).why == "An equal question had been answered before, so nothing was sent and nothing is owed."


def test_another_flow_another_model_or_other_terms_are_asked_anew(drive: Drive, pair: Pair) -> None:
    drive()
    first = finish(start(cached(), ["start -> a"]))

    finish(start(cached(), ["start -> a"]))
    finish(start(cached(seed=1), ["start -> a"]))
    ModelEntry.objects.filter(slug="primary").update(model="openai/repointed")
    until(lambda: [again(first.flow)] and pair[0].asked[-1]["body"]["model"] == "repointed")

    assert len(pair[0].asked) == 4


def test_a_failure_is_not_used_again(drive: Drive, pair: Pair) -> None:
    pair[0].behaves("500")
    drive()
    first = finish(start(cached(), ["start -> a"]))

    assert first.status == "failed"
    assert again(first.flow).status == "succeeded"
    assert len(pair[0].asked) == 2


def test_a_step_that_does_not_ask_for_it_is_asked_anew(drive: Drive, pair: Pair) -> None:
    drive()
    first = finish(start({"a": model("x", "primary")}, ["start -> a"]))
    again(first.flow)

    assert len(pair[0].asked) == 2
    assert json.loads(calls_of(first)[0].request or "{}")["max_output"] == 100
