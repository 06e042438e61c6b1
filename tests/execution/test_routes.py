"""Routes against a service that is scripted to fail: who answers, what the ledger holds, what it says of why."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import Client

from flows.models import Call, Event, ModelEntry, Run
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, error_of, finish, make_model, make_route, model, output_of, start, until
from tests.execution.services import TOPIC, Pair
from tests.makers import make_person


def ask(**more: Any) -> Run:
    return start({"a": model("Which topic?", "pair", **more)}, ["start -> a"], output="{{ steps.a.output }}")


def page_of(run: Run) -> str:
    """What the run's page shows of the step."""
    client = Client()
    client.force_login(make_person("operator"))
    answer = client.get(f"/runs/{run.public_id}?step=a")
    assert answer.status_code == 200
    return str(answer.content.decode())


def routing_of(call: Call) -> dict[str, Any]:
    data = Event.objects.get(run_id=call.run_id, seq=call.seq).data
    return dict(json.loads(data or "{}")["routing"])


@pytest.mark.parametrize(
    ("behave", "said", "charged"),
    [
        ({"behave": "429", "retry_after": "2"}, "rate_limit", False),
        ({"behave": "500"}, "unavailable", False),
        ({"behave": "hang"}, "timeout", True),
        ({"behave": "cut"}, "unavailable", True),
        ({"behave": "bad_json"}, "invalid_output", True),
        ({"behave": "html"}, "unavailable", True),
    ],
)
def test_the_next_candidate_answers_and_the_ledger_holds_every_call(
    drive: Drive, pair: Pair, behave: dict[str, str], said: str, charged: bool
) -> None:
    pair[0].program.append(behave)
    drive()

    run = finish(ask(with_={"output": TOPIC, "repair": 0}))

    assert set(output_of(run)) == {"topic"}
    first, second = calls_of(run)
    assert (first.target, first.status[:6], first.error_class) == ("primary", "failed", said)
    assert bool(first.settled) is charged
    assert (second.target, second.status) == ("backup", "succeeded")
    assert (second.route, second.route_version) == ("pair", 1)
    account = routing_of(second)
    assert (account["route"], account["version"], account["strategy"]) == ("pair", 1, "ordered")
    assert [(each["model"], each["verdict"]) for each in account["candidates"]] == [("primary", "failed"), ("backup", "taken")]
    assert account["candidates"][0]["why"].startswith(f"{said}: ")
    assert [(each["model"], each["verdict"]) for each in routing_of(first)["candidates"]] == [
        ("primary", "taken"),
        ("backup", "waiting"),
    ]
    page = page_of(run)
    assert f'<span class="mono">{said}</span>' in page
    assert "Candidate 2 of pair, after the one before it failed." in page


def test_a_usage_that_is_beyond_what_was_reserved_is_recorded_as_billed_and_stops_the_next_call(drive: Drive, pair: Pair) -> None:
    pair[0].program.append({"behave": "wrong_usage"})
    drive()
    steps = {"a": model("Which topic?", "pair"), "b": model("And then?", "pair")}

    run = finish(start(steps, ["start -> a", "a -> b"], limits={"cost": 0.05, "at_limit": "stop"}))

    (call,) = calls_of(run)
    assert (call.status, call.usage_source, call.output_tokens) == ("succeeded", "provider", 50_000)
    assert run.spent == call.settled
    assert call.settled > call.reserved
    assert (run.status, run.reason) == ("budget_stopped", "cost")


@pytest.mark.parametrize("behave", ["no_usage", "zero_usage"])
def test_an_answer_without_a_true_usage_is_charged_by_our_own_count(drive: Drive, pair: Pair, behave: str) -> None:
    pair[0].program.append({"behave": behave})
    drive()

    (call,) = calls_of(finish(ask()))

    assert (call.target, call.status, call.usage_source) == ("primary", "succeeded", "estimated")
    assert call.settled


@pytest.mark.parametrize(("behave", "said"), [("400", "bad_request"), ("401", "bad_key")])
def test_a_bad_request_or_a_bad_key_never_walks_the_chain(drive: Drive, pair: Pair, behave: str, said: str) -> None:
    pair[0].program.append({"behave": behave})
    drive()

    run = finish(ask())

    assert (run.status, run.reason) == ("failed", said)
    assert [call.target for call in calls_of(run)] == ["primary"]
    assert pair[1].asked == []


def test_one_deadline_holds_over_the_whole_chain(drive: Drive, pair: Pair) -> None:
    for server in pair:
        server.program.append({"behave": "hang"})
    drive()
    began = time.monotonic()

    run = finish(ask(timeout="1500ms"), within=8)

    assert time.monotonic() - began < 4, "two calls of a second each would not have been within the step's limit"
    assert (run.status, run.reason, error_of(run)["class"]) == ("failed", "timeout", "timeout")
    assert [call.target for call in calls_of(run)] == ["primary", "backup"]
    assert run.spent == sum(call.reserved for call in calls_of(run))


def test_the_same_flow_goes_to_another_model_after_one_edit_of_the_catalogue(drive: Drive, pair: Pair) -> None:
    drive()
    first = finish(ask())
    ModelEntry.objects.filter(slug="primary").update(api_base=f"{pair[1].base}/v1", model="openai/repointed")

    until(lambda: [asked for _ in [finish(ask())] for asked in pair[1].asked])

    assert [call.target for call in calls_of(first)] == ["primary"]
    assert pair[1].asked[0]["body"]["model"] == "repointed"


def test_a_tag_of_the_run_chooses(drive: Drive) -> None:
    make_model("plain")
    make_model("golden")
    make_route("tiers", {"model": "golden", "when": {"tag": "gold"}}, "plain")
    drive()

    (call,) = calls_of(finish(start({"a": model("x", "tiers")}, ["start -> a"])))

    assert call.target == "plain"
    assert call.reason == "candidate 2 of tiers; skipped: golden (the run has no tag gold)"
    assert routing_of(call)["candidates"][0] == {"model": "golden", "verdict": "skipped", "why": "the run has no tag gold"}


def test_where_no_candidate_may_be_asked_nothing_is_sent_and_the_error_says_why(drive: Drive) -> None:
    make_model("golden")
    make_route("tiers", {"model": "golden", "when": {"tag": "gold"}})
    drive()

    run = finish(start({"a": model("x", "tiers")}, ["start -> a"]))

    assert calls_of(run) == []
    assert error_of(run)["message"] == ("No candidate of the route tiers takes this request: golden: the run has no tag gold.")


def test_the_fastest_by_measurement_is_asked(drive: Drive) -> None:
    make_model("slow", settings={"delay": 0.3})
    make_model("quick")
    make_route("swift", "slow", "quick", strategy="fastest")
    drive()

    def chosen() -> str:
        return calls_of(finish(start({"a": model("x", "swift")}, ["start -> a"])))[0].target

    first = {chosen(), until(lambda: chosen() == "quick" and "quick")}

    assert first == {"slow", "quick"}
    until(lambda: chosen() == "quick")


def test_a_model_that_fails_again_and_again_is_skipped_and_a_broken_backup_stops_nobody(drive: Drive, pair: Pair) -> None:
    ModelEntry.objects.filter(slug="primary").update(breaker={"failures": 2, "rest": 60})
    for _ in range(9):
        pair[0].program.append({"behave": "500"})
    drive()

    runs = [finish(ask()) for _ in range(4)]

    assert [[call.target for call in calls_of(run)] for run in runs] == [["primary", "backup"]] * 2 + [["backup"]] * 2
    (last,) = calls_of(runs[-1])
    assert routing_of(last)["candidates"][0]["verdict"] == "skipped"
    assert "rests after 2 failures in a row" in last.reason


def test_a_broken_backup_never_stops_a_healthy_primary(drive: Drive, pair: Pair) -> None:
    ModelEntry.objects.filter(slug="backup").update(breaker={"failures": 1, "rest": 60})
    pair[0].program.append({"behave": "500"})
    pair[1].program.append({"behave": "500"})
    drive()

    runs = [finish(ask()) for _ in range(3)]

    assert [run.status for run in runs] == ["failed", "succeeded", "succeeded"]
    assert [call.target for call in calls_of(runs[-1])] == ["primary"]


def test_where_the_only_candidate_rests_nothing_is_sent(drive: Drive) -> None:
    make_model("lone", settings={"fail": "unavailable"}, breaker={"failures": 1, "rest": 60})
    drive()
    finish(start({"a": model("x", "lone")}, ["start -> a"]))

    run = finish(start({"a": model("x", "lone")}, ["start -> a"]))

    assert (run.reason, calls_of(run)) == ("unavailable", [])
    assert "lone: it rests after one failure" in error_of(run)["message"]


@pytest.mark.parametrize(
    ("script", "ends"),
    [
        ("fail 429 twice, then answer", ["rate_limit", "rate_limit", ""]),
        ("garbage once", ["invalid_output", ""]),
        ("hang once, then answer", ["timeout", ""]),
        ("cut once", ["unavailable", ""]),
        ("outage from call 1 to 3", ["unavailable", "unavailable", "unavailable", ""]),
    ],
)
def test_a_scripted_model_fails_call_by_call_in_each_run_anew(drive: Drive, script: str, ends: list[str]) -> None:
    make_model("scripted", settings={"script": script})
    make_route("one", "scripted", timeout=1.5 if "hang" in script else None)
    drive()
    retry = {"attempts": 5, "backoff": "fixed", "first": "10ms", "on": ["rate_limit", "timeout", "unavailable", "invalid_output"]}

    for _ in range(2):
        step = model("Which topic?", "one", retry=retry, with_={"output": TOPIC, "repair": 0})
        run = finish(start({"a": step}, ["start -> a"]), within=20)

        assert run.status == "succeeded"
        assert [call.error_class for call in calls_of(run)] == ends


def test_images_go_to_candidates_that_take_them_and_nowhere_else(drive: Drive, pair: Pair) -> None:
    image = "data:image/png;base64,iVBORw0KGgo="
    drive()
    refused = finish(ask(with_={"images": [image]}))
    ModelEntry.objects.filter(slug="backup").update(capabilities=["json", "streaming", "vision"])

    until(lambda: [asked for _ in [finish(ask(with_={"images": [image]}))] for asked in pair[1].asked])

    assert (refused.status, refused.reason, calls_of(refused)) == ("failed", "bad_request", [])
    assert "primary: it lacks vision; backup: it lacks vision" in error_of(refused)["message"]
    (part,) = [part for part in pair[1].asked[0]["body"]["messages"][-1]["content"] if part["type"] == "image_url"]
    assert part["image_url"]["url"] == image
    assert pair[0].asked == []
