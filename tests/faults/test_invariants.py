"""The checker sees what it is there to see: each of these worlds is broken in one way, and is reported as that."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from flows.models import Attempt, Budget, BudgetHold, BudgetPeriod, Call, Event, Request, Run
from flows.models.identifiers import new_id
from tests.faults.invariants import violations
from tests.makers import add_events, make_request, make_run

pytestmark = pytest.mark.django_db

MESSAGES = [{"role": "user", "content": "Hello there"}]


def found(**journals: Any) -> list[str]:
    return violations(connection.connection, **journals)


def make_call(run: Run, path: str = "greet", *, status: str = "succeeded", **fields: Any) -> Call:
    defaults = {
        "attempt": 1,
        "n": 1,
        "epoch": 1,
        "seq": run.seq,
        "kind": "model",
        "target": "loop-1",
        "repeat": "freely",
        "idempotency_key": new_id(),
        "request": '{"messages": [{"role": "user", "content": "Hello there"}]}',
        "settled": Decimal(0),
    }
    return Call.objects.create(run=run, pass_number=1, path=path, status=status, **(defaults | fields))


def ended_run() -> Run:
    run = make_run(status="succeeded")
    add_events(run, 1, "run.ended")
    return run


def asked_of_model(number: int, content: str = "Hello there") -> dict[str, Any]:
    return {"n": number, "behave": {}, "body": {"model": "loop-1", "messages": [{"role": "user", "content": content}]}}


def effect_of(run: Run, step: str, key: str | None) -> dict[str, Any]:
    return {"method": "POST", "key": key, "at": time.time() + 1, "body": {"run": run.public_id, "step": step}}


def overspent() -> None:
    run = make_run(cap_cost=Decimal(1), spent=Decimal(2))
    make_call(run, settled=Decimal(2))


def called_twice() -> None:
    run = make_run()
    make_call(run, n=1)
    make_call(run, n=2)


def gap() -> None:
    Event.objects.filter(run_id=make_run(events=3).id, seq=2).delete()


def endless() -> None:
    make_run(status="succeeded")


def event_after_end() -> None:
    add_events(ended_run(), 1)


def leaked() -> None:
    Run.objects.filter(id=ended_run().id).update(reserved=Decimal(1))


def forgotten_bill() -> None:
    make_call(make_run(), settled=Decimal(1))


def used_budget(**figures: Any) -> BudgetPeriod:
    budget = Budget.objects.create(scope="all", period="day", cost=Decimal(1), created_at=timezone.now() - timedelta(hours=1))
    now = timezone.now()
    return BudgetPeriod.objects.create(budget=budget, begins=now - timedelta(hours=2), ends=now + timedelta(hours=2), **figures)


def overspent_budget() -> None:
    used_budget(spent=Decimal(2))


def leaked_hold() -> None:
    used_budget(reserved=Decimal("0.5"), reserved_calls=1)


def uncounted_call() -> None:
    used_budget()
    make_call(make_run(spent=Decimal("0.25")), settled=Decimal("0.25"), started_at=timezone.now())


def forgotten_hold() -> None:
    run, period = ended_run(), used_budget(reserved=Decimal("0.5"), reserved_calls=1)
    Run.objects.filter(id=run.id).update(ended_at=timezone.now() - timedelta(hours=1))
    BudgetHold.objects.create(call_id=new_id(), run_id=run.id, epoch=1, period=period, reserved=Decimal("0.5"), tokens=1)


def call_after_cancel() -> None:
    run = make_run()
    add_events(run, 1, "run.cancel_requested")
    make_call(run, seq=run.seq + 1)


def call_that_goes_on() -> None:
    run = make_run()
    add_events(run, 1, "run.cancel_requested")
    make_call(run, seq=1, ended_at=timezone.now() + timedelta(seconds=9))


def nobodys() -> None:
    make_run(status="running", owner=new_id())


def asleep() -> None:
    make_run(status="waiting_approval")


def owned_in_queue() -> None:
    make_run(status="queued", owner=new_id())


def lost_decision() -> None:
    request = make_request()
    Attempt.objects.create(run_id=request.run_id, pass_number=1, path=request.path, n=1, kind="approval", status="waiting", seq=1)
    Request.objects.filter(id=request.id).update(state="approved", outcome="approve")
    Run.objects.filter(id=request.run_id).update(wake_at=timezone.now())


def other_outcome() -> None:
    request = make_request(state="approved", outcome="approve")
    run = request.run
    assert run is not None
    Run.objects.filter(id=run.id).update(status="queued")
    Event.objects.create(run_id=run.id, seq=run.seq + 1, pass_number=1, type="request.answered", path=request.path)
    Run.objects.filter(id=run.id).update(seq=run.seq + 1)
    Attempt.objects.create(
        run_id=run.id, pass_number=1, path=request.path, n=1, kind="approval", status="succeeded", port="reject", seq=1
    )


WORLDS: list[tuple[Callable[[], None], str]] = [
    (called_twice, "I1: "),
    (gap, "I2: "),
    (endless, "has 0 ends"),
    (event_after_end, "after the end"),
    (overspent, "2.000000000000 spent and 0E-12 reserved of 1"),
    (leaked, "I4: "),
    (forgotten_bill, "0E-12 spent, 1.000000000000 settled"),
    (overspent_budget, "I4: budget all : 2.000000000000 spent"),
    (leaked_hold, "reserved for 1 calls, held are 0 for 0"),
    (uncounted_call, "the ledger has 0.250000000000 for 1"),
    (forgotten_hold, "is held for a call that never began"),
    (call_after_cancel, "began after the cancel"),
    (call_that_goes_on, "went on for"),
    (nobodys, "driven by nobody"),
    (asleep, "nothing will wake it"),
    (owned_in_queue, "queued and owned"),
    (lost_decision, "the run sleeps on"),
    (other_outcome, "answered approve, went on at reject"),
]


@pytest.mark.parametrize(("break_it", "said"), WORLDS, ids=lambda value: getattr(value, "__name__", ""))
def test_it_reports_what_is_broken(break_it: Callable[[], None], said: str) -> None:
    assert found() == []

    break_it()

    assert any(said in line for line in found()), found()


def test_it_is_content_with_what_is_whole() -> None:
    make_call(ended_run(), provider_id="chatcmpl-1", input_tokens=6, output_tokens=4)
    make_request()

    assert found(models=[asked_of_model(1)], effects=[]) == []


@pytest.mark.parametrize(
    ("call", "lines", "said"),
    [
        ({"provider_id": "chatcmpl-1", "input_tokens": 6, "output_tokens": 5}, [asked_of_model(1)], "6 and 5 tokens"),
        ({"provider_id": "chatcmpl-2", "input_tokens": 6, "output_tokens": 4}, [asked_of_model(1)], "not the server's answer"),
        (
            {"provider_id": "chatcmpl-1", "input_tokens": 6, "output_tokens": 4},
            [asked_of_model(1), asked_of_model(2)],
            "1 request(s) to a model that no call recorded",
        ),
        ({"status": "unknown", "reserved": Decimal(1)}, [], "settled 0"),
    ],
)
def test_it_compares_the_ledger_with_what_the_model_server_served(call: dict[str, Any], lines: list[Any], said: str) -> None:
    make_call(make_run(), **call)

    assert any(said in line for line in found(models=lines)), found(models=lines)


def test_it_sees_effects_without_a_call_and_effects_too_many() -> None:
    run = make_run()
    keyed, other = (make_call(run, path, kind="tool", repeat="keyed") for path in ("a", "b"))
    make_call(run, "c", kind="tool", repeat="never")
    key = str(keyed.idempotency_key)

    assert found(effects=[effect_of(run, "a", key), effect_of(run, "c", None)]) == []
    assert "without an earlier call" in found(effects=[effect_of(run, "d", None)])[0]
    assert "without an earlier call" in found(effects=[effect_of(run, "a", key) | {"at": 0}])[0]
    assert "asked 2 times" in found(effects=[effect_of(run, "c", None)] * 2)[0]
    assert "asked 2 times" in found(effects=[effect_of(run, "a", key)] * 2)[0]
    assert f"recorded with {other.idempotency_key}" in found(effects=[effect_of(run, "b", key)])[0]
    assert "sent with key None" in found(effects=[effect_of(run, "a", None)])[0]
