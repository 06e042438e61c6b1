"""The verbs on a run over HTTP."""

from __future__ import annotations

import pytest

from flows.models import Call, Run
from tests.api.test_api import Api, assert_problem
from tests.makers import make_flow, make_person, make_run
from tests.runs.journals import make_attempt, make_call

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Api:
    return Api(make_person("operator", username="operator"))


def failed() -> Run:
    run = make_run(make_flow(), status="failed", input='{"name":"Ann"}')
    make_attempt(run, "greet", status="failed", kind="set")
    make_call(run, "greet", cost="0.25")
    return run


def test_a_run_is_paused_and_resumed(operator: Api) -> None:
    run = make_run()

    paused = operator("POST", f"/runs/{run.public_id}/pause")
    resumed = operator("POST", f"/runs/{run.public_id}/resumption")

    assert (paused.status_code, paused.json()["state"], paused.json()["paused"]) == (202, "waiting", True)
    assert (resumed.status_code, resumed.json()["state"], resumed.json()["paused"]) == (202, "queued", False)
    assert_problem(operator("POST", f"/runs/{run.public_id}/resumption"), 409, "not-paused")
    ended = assert_problem(operator("POST", f"/runs/{failed().public_id}/resumption"), 409, "run-ended")
    assert "retry it" in ended["detail"]


def test_a_retry_is_previewed_and_adds_a_pass(operator: Api) -> None:
    run = failed()

    preview = operator("GET", f"/runs/{run.public_id}/retry").json()
    again = operator("POST", f"/runs/{run.public_id}/retry", {"pass": 1})
    twice = operator("POST", f"/runs/{run.public_id}/retry", {"pass": 1})
    shown = operator("GET", f"/runs/{run.public_id}").json()

    assert (preview["makes"], preview["cost"], [step["path"] for step in preview["again"]]) == ("pass", "0.25", ["greet"])
    assert (again.status_code, again.json()["id"], again.json()["pass"], again.json()["origin"]) == (202, run.public_id, 2, None)
    assert assert_problem(twice, 409, "pass-changed")["pass"] == 2
    assert [(each["number"], each["verb"], each["by"]) for each in shown["passes"]] == [(2, "retry", "operator")]
    assert shown["steps"] == []
    earlier = operator("GET", f"/runs/{run.public_id}?pass=1").json()
    assert [step["path"] for step in earlier["steps"]] == ["greet"]
    events = operator("GET", f"/runs/{run.public_id}/events").json()["items"]
    assert [(event["type"], event["pass"]) for event in events] == [("run.created", 1), ("pass.started", 2)]


def test_a_retry_with_something_changed_is_a_linked_run(operator: Api) -> None:
    run = failed()

    fork = operator("POST", f"/runs/{run.public_id}/retry", {"input": {"name": "Bob"}})
    same = operator("POST", f"/runs/{run.public_id}/retry", {"version": "live"})

    assert fork.status_code == 202
    assert fork.json()["id"] != run.public_id
    assert fork.json()["origin"] == {"run": run.public_id, "from_step": None}
    assert (same.json()["id"], same.json()["pass"]) == (run.public_id, 2)  # the live version is the one that ran
    assert_problem(operator("POST", f"/runs/{run.public_id}/retry", {"input": {"name": 7}}), 422, "input-refused")
    assert_problem(operator("POST", f"/runs/{run.public_id}/retry", {"version": 9}), 404, "not-found")


def test_steps_are_skipped_and_steered(operator: Api) -> None:
    run = make_run(status="waiting", paused=True)

    edited = operator("POST", f"/runs/{run.public_id}/steps/greet/input", {"input": {"values": {"text": "Good day"}}})
    skipped = operator("POST", f"/runs/{run.public_id}/steps/greet/skip", {"output": {"text": "By hand"}, "comment": "Known."})
    shown = operator("GET", f"/runs/{run.public_id}").json()

    assert (edited.status_code, edited.json()["before"]) == (202, {"values": {"text": "Hello {{ input.name }}"}})
    assert skipped.status_code == 202
    assert [(each["path"], each["kind"], each["by"]) for each in shown["interventions"]] == [
        ("greet", "input", "operator"),
        ("greet", "skip", "operator"),
    ]
    assert_problem(operator("POST", f"/runs/{run.public_id}/steps/each[7].sub/nothing/skip"), 404, "not-found")
    assert_problem(operator("POST", f"/runs/{run.public_id}/steps/greet/input", {"input": {"kind": "tool"}}), 422, "invalid")


def test_many_runs_at_once_by_name_or_by_filter(operator: Api) -> None:
    runs, done = [failed(), failed()], make_run(status="succeeded")

    preview = operator("POST", "/runs/bulk", {"verb": "retry", "filter": {"state": "failed,succeeded"}, "preview": True}).json()
    acted = operator("POST", "/runs/bulk", {"verb": "retry", "runs": [run.public_id for run in (*runs, done)]}).json()

    assert (preview["eligible"], preview["preview"], len(preview["items"])) == (2, True, 3)
    assert [(item["state"], item["eligible"], item["problem"]) for item in acted["items"]] == [
        ("queued", True, None),
        ("queued", True, None),
        ("succeeded", False, "nothing-failed"),
    ]
    assert_problem(operator("POST", "/runs/bulk", {"verb": "retry"}), 422, "invalid")
    assert_problem(operator("POST", "/runs/bulk", {"verb": "retry", "runs": ["run_nothing"]}), 404, "not-found")


def test_money_is_told_to_those_who_may_see_it() -> None:
    run = failed()
    Run.objects.filter(id=run.id).update(spent="0.25")
    Call.objects.filter(run_id=run.id, kind="model").update(response='{"text": "Hi", "usage": {"cost": 0.25}}')

    for role, scopes, cost in (
        ("operator", ("admin",), "0.25"),
        ("approver", ("admin",), None),
        ("operator", ("runs:read",), None),
    ):
        api = Api(make_person(role), *scopes)
        shown = api("GET", f"/runs/{run.public_id}").json()
        assert (shown["cost"], shown["steps"][0]["cost"], shown["steps"][0]["attempts"][0]["calls"][0]["cost"]) == (cost,) * 3
        assert api("GET", "/runs").json()["items"][0]["cost"] == cost
        call = api("GET", f"/runs/{run.public_id}/calls").json()["items"][0]
        assert call["cost"] == cost
        assert ("usage" in call["response"]) == (cost is not None)
