"""Calls whose outcome is not known: looked up and adopted, repeated with the same key, or asked about. Never simply made twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid5

import pytest
from django.utils import timezone

from approvals.actions.decide import decide
from flows.access.refusals import Forbidden, Invalid
from flows.engine.failures import Unavailable
from flows.models import AllowedHost, Call, Request, Run, ToolEntry
from flows.tools.functions import FUNCTIONS
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import attempts_of, calls_of, error_of, finish, output_of, reach, start, tool, types_of, until
from tests.execution.test_recovery import call_in_flight, died
from tests.makers import make_actor
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import running

ONE, EDGE = {"a": tool("fx.do", {"n": 1})}, ["start -> a"]


@pytest.fixture
def server(transactional_db: None) -> Iterator[EffectServer]:
    with running(EffectServer()) as server:
        AllowedHost.objects.create(host=f"127.0.0.1:{server.port}")
        yield server


def make_effect(server: EffectServer, repeat: str, **fields: Any) -> ToolEntry:
    settings: dict[str, Any] = {"url": f"http://127.0.0.1:{server.port}/do"}
    if repeat in {"keyed", "lookup"}:
        settings["idempotency_header"] = "Idempotency-Key"
    if repeat == "lookup":
        settings["find"] = f"http://127.0.0.1:{server.port}/find/{{key}}"
    return ToolEntry.objects.create(slug="fx.do", kind="http", effect="write", repeat=repeat, settings=settings, **fields)


def question_of(run: Run) -> Request:
    run = reach(run, "waiting_approval")
    assert run.reason == "outcome_unknown"
    return Request.objects.get(run=run, kind="unknown", state="pending")


def said(request: Request, outcome: str, payload: Any = None, role: str = "operator") -> None:
    decide(make_actor(role), request.id, outcome, request.revision, payload)


# ---------------------------------------------------------------------- never


def test_a_lost_answer_of_a_write_that_may_not_be_repeated_is_asked_about(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    server.behaves("late")
    drive()
    run = start(ONE, EDGE, output="{{ steps.a.output }}")

    asked = question_of(run)

    (call,) = calls_of(run)
    payload = json.loads(asked.payload)
    assert (payload["tool"], payload["arguments"], payload["key"]) == ("fx.do", {"n": 1}, str(call.idempotency_key))
    assert payload["sent_at"]
    assert "broke the connection" in payload["error"]
    assert list(asked.outcomes) == ["happened", "repeat", "fail"]
    assert (call.status, len(server.effects)) == ("unknown", 1)
    said(asked, "happened", {"result": {"id": "effect_1"}})

    run = finish(run)
    assert output_of(run) == {"id": "effect_1"}
    assert (len(server.effects), [call.status for call in calls_of(run)]) == (1, ["unknown"])


def test_people_may_have_it_repeated_with_the_same_key(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    server.behaves("refuse")
    drive()
    run = start(ONE, EDGE)

    said(question_of(run), "repeat")

    run = finish(run)
    assert run.status == "succeeded"
    first, second = calls_of(run)
    assert (first.status, second.status, second.attempt) == ("unknown", "succeeded", 2)
    assert first.idempotency_key == second.idempotency_key
    assert len(server.effects) == 1
    assert [row.status for row in attempts_of(run, "a")] == ["failed", "succeeded"]


def test_a_repetition_that_is_lost_is_asked_about_again(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    server.behaves("refuse", "late")
    drive()
    run = start(ONE, EDGE)
    said(question_of(run), "repeat")

    second = until(lambda: Request.objects.filter(run=run, state="pending", round=2).first())

    assert len(server.effects) == 1
    said(second, "happened", {"result": 1})
    assert finish(run).status == "succeeded"
    assert len(server.effects) == 1


def test_people_may_let_the_step_fail_and_its_error_edge_applies(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    server.behaves("late", "late")
    drive()
    handled = {**ONE, "b": {"kind": "set", "with": {"values": {"why": "{{ error.class }}"}}}}
    run = start(handled, ["start -> a", "a.error -> b"], output="{{ steps.b.output.why }}")
    plain = start(ONE, EDGE)

    said(question_of(run), "fail")
    said(question_of(plain), "fail")

    assert output_of(finish(run)) == "unknown_outcome"
    plain = finish(plain)
    assert (plain.status, plain.reason) == ("failed", "unknown_outcome")
    assert "decided that the step fails" in error_of(plain)["message"]


def test_a_call_that_was_in_flight_when_its_engine_died_is_asked_about(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    run = died(ONE, EDGE, known=False)
    lost = call_in_flight(run, "a", repeat="never", target="fx.do")
    drive()

    asked = question_of(run)
    assert json.loads(asked.payload)["key"] == str(lost.idempotency_key)
    said(asked, "repeat")

    assert finish(run).status == "succeeded"
    assert len(server.effects) == 1


def test_a_step_whose_time_was_over_before_its_answer_is_asked_about(drive: Drive, add_tool: AddTool) -> None:
    async def slow() -> None:
        await asyncio.sleep(30)

    add_tool("fx.slow", slow, effect="write", repeat="never")
    drive()
    run = start({"a": tool("fx.slow", timeout="1500ms")}, EDGE)

    assert "time was over" in json.loads(question_of(run).payload)["error"]
    assert calls_of(run)[0].status == "unknown"


def test_every_item_of_a_map_has_a_question_of_its_own(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    server.behaves("late", "refuse", "late")
    drive()
    body = {"steps": {"do": tool("fx.do", {"n": "{{ item }}"})}, "edges": ["start -> do"], "output": "{{ steps.do.output }}"}
    steps = {"m": {"kind": "map", "with": {"over": "[0, 1, 2]", "concurrency": 1, "on_item_error": "collect", "body": body}}}
    parallel = {"m": {**steps["m"], "with": {**steps["m"]["with"], "concurrency": 3}}}
    run = start(parallel, ["start -> m"], output="{{ steps.m.output }}")
    until(lambda: Request.objects.filter(run=run, state="pending").count() == 3)
    reach(run, "waiting_approval")

    for asked in Request.objects.filter(run=run).order_by("path"):
        choice = {"m[0].do": ("happened", {"result": "by hand"}), "m[1].do": ("repeat", None), "m[2].do": ("fail", None)}
        said(asked, *choice[asked.path])

    zero, one, two = output_of(finish(run))
    assert zero == {"output": "by hand"}
    assert one["output"]["body"] == {"n": 1}
    assert two["error"]["class"] == "unknown_outcome"


def test_the_retry_policy_never_repeats_it_by_itself(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    server.behaves("late")
    on = ["unavailable", "unknown_outcome"]
    drive()

    run = start({"a": tool("fx.do", {"n": 1}, retry={"attempts": 3, "first": "10ms", "on": on})}, EDGE)

    question_of(run)
    assert len(server.effects) == 1


# ---------------------------------------------------------------------- who answers, and with what


def test_what_happened_must_have_the_form_of_the_tools_result(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never", result={"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}})
    server.behaves("late")
    drive()
    run = start(ONE, EDGE)
    asked = question_of(run)

    with pytest.raises(Invalid) as refusal:
        said(asked, "happened", {"result": {"id": 5}})
    assert refusal.value.problems[0].place == "payload.result.id"

    said(asked, "happened", {"result": {"id": "x"}})
    assert finish(run).status == "succeeded"


def test_who_started_the_run_may_say_what_happened_but_not_have_it_repeated(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "never")
    server.behaves("late")
    drive()
    run = start(ONE, EDGE)
    asked = question_of(run)
    starter = make_actor("operator")
    Run.objects.filter(id=run.id).update(started_by=starter.person)

    with pytest.raises(Forbidden, match="another's to decide"):
        decide(starter, asked.id, "repeat", asked.revision)
    with pytest.raises(Forbidden):
        said(asked, "fail", role="approver")

    decide(starter, asked.id, "happened", asked.revision, {"result": None})
    assert finish(run).status == "succeeded"


# ---------------------------------------------------------------------- lookup


def test_what_the_service_finds_is_adopted(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "lookup")
    server.behaves("late")
    drive()

    run = finish(start(ONE, EDGE, output="{{ steps.a.output.id }}"))

    assert output_of(run) == "effect_1"
    assert len(server.effects) == 1
    lost, found = calls_of(run)
    assert (lost.kind, lost.status, found.kind, found.status) == ("tool", "unknown", "find", "succeeded")
    assert "call.adopted" in types_of(run)


def test_what_the_service_does_not_find_is_repeated_with_the_same_key(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "lookup")
    server.behaves("refuse")
    drive()

    run = finish(start(ONE, EDGE))

    assert run.status == "succeeded"
    assert [(call.kind, call.status) for call in calls_of(run)] == [
        ("tool", "unknown"),
        ("find", "failed_final"),
        ("tool", "succeeded"),
    ]
    assert len({call.idempotency_key for call in calls_of(run)}) == 1
    assert len(server.effects) == 1


def test_after_a_death_the_service_is_asked_first(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "lookup")
    run = died(ONE, EDGE, known=False, output="{{ steps.a.output.id }}")
    call_in_flight(run, "a", repeat="lookup", target="fx.do")
    server.applied[str(uuid5(run.id, "a/0"))] = {"id": "effect_1"}
    drive()

    run = finish(run)

    assert output_of(run) == "effect_1"
    assert [(call.kind, call.status) for call in calls_of(run)] == [("tool", "unknown"), ("find", "succeeded")]
    assert server.effects == []


def test_where_asking_the_service_fails_it_is_tried_again_and_then_people_are_asked(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "lookup")
    server.behaves("late", "503", "503")
    drive()
    run = start({"a": tool("fx.do", {"n": 1}, retry={"attempts": 2, "first": "10ms"})}, EDGE)

    asked = question_of(run)

    assert "asking the service failed" in json.loads(asked.payload)["error"]
    assert [(call.kind, call.status, call.attempt) for call in calls_of(run)] == [
        ("tool", "unknown", 1),
        ("find", "unknown", 1),
        ("find", "unknown", 2),
    ]
    assert len(server.effects) == 1
    said(asked, "repeat")
    run = finish(run)
    assert run.status == "succeeded"
    assert [call.kind for call in calls_of(run)][-1] == "tool"  # people said so: not looked up once more
    assert len(server.effects) == 1  # the service knew the key


def test_a_python_function_may_tell_what_became_of_its_calls(drive: Drive, add_tool: AddTool) -> None:
    done: dict[str, str] = {}

    async def put(idempotency_key: str) -> str:
        done[idempotency_key] = "kept"
        raise Unavailable("the line broke", sent=True)

    async def find(key: str) -> tuple[bool, Any]:
        return key in done, done.get(key)

    add_tool("fx.put", put, effect="write", repeat="lookup")
    FUNCTIONS.add("fx.put", put, find)
    drive()

    assert output_of(finish(start({"a": tool("fx.put")}, EDGE, output="{{ steps.a.output }}"))) == "kept"


# ---------------------------------------------------------------------- keyed


def test_a_keyed_call_is_not_repeated_once_the_service_may_have_forgotten_its_key(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "keyed", known_for=60.0)
    fresh, stale = died(ONE, EDGE, known=False), died(ONE, EDGE, known=False)
    for run, age in ((fresh, 10), (stale, 120)):
        lost = call_in_flight(run, "a", repeat="keyed", target="fx.do")
        Call.objects.filter(id=lost.id).update(started_at=timezone.now() - timedelta(seconds=age))
    drive()

    assert finish(fresh).status == "succeeded"
    asked = question_of(stale)

    assert "knows the key for 60 s only" in json.loads(asked.payload)["error"]
    said(asked, "repeat")
    assert finish(stale).status == "succeeded"


def test_under_one_key_only_one_thing_is_sent(drive: Drive, server: EffectServer) -> None:
    make_effect(server, "keyed")
    run = died(ONE, EDGE, known=False)
    lost = call_in_flight(run, "a", repeat="keyed", target="fx.do")
    Call.objects.filter(id=lost.id).update(request_hash="f" * 64)
    drive()

    run = finish(run)

    assert (run.status, run.reason) == ("failed", "arguments_changed")
    assert "other arguments than its first attempt" in error_of(run)["message"]
    assert server.effects == []
