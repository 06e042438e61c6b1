"""The verbs on a run: who may use them, in which states, and what is written down. (What engines make of them:
tests/execution/test_passes.py and test_verbs.py.)"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections

from flows.access.actor import Actor
from flows.access.refusals import Forbidden, Invalid, NotFound, Refusal
from flows.engine.states import TERMINAL_STATES
from flows.execution.passes import RunGoesOn
from flows.models import Attempt, AuditRow, Event, FlowVersion, Intervention, Request, Run, RunPass, ToolEntry
from flows.runs.actions.cancel_run import RunEnded, cancel_run
from flows.runs.actions.control_many import MOST, control_many, preview_many
from flows.runs.actions.edit_input import edit_input
from flows.runs.actions.pause_run import NotPaused, pause_run, resume_run
from flows.runs.actions.repeat_run import BehindApproval, repeat_run
from flows.runs.actions.retry_run import NeverRan, NothingFailed, PassChanged, retry_run
from flows.runs.actions.skip_step import skip_step
from flows.runs.beginning import InputRefused
from flows.runs.previews import preview_retry
from flows.runs.stepstates import DecideInstead, NotBegun, StepBusy, StepOver
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_request, make_run, make_team
from tests.runs.journals import make_attempt, make_call

pytestmark = pytest.mark.django_db

STEPS: dict[str, Any] = {
    "first": {"kind": "tool", "with": {"tool": "mail.send", "arguments": {"text": "Hello"}}},
    "gate": {"kind": "branch", "with": {"cases": [{"port": "large", "when": "input.amount > 100"}], "else": "small"}},
    "ask": {"kind": "approval", "with": {"title": "May it?", "seals": "pay"}},
    "pay": {"kind": "tool", "with": {"tool": "pay.out", "arguments": {"amount": 1}}},
    "small": {"kind": "set", "with": {"values": {"done": True}}},
}
EDGES = ["start -> first", "first -> gate", "gate.large -> ask", "ask.approve -> pay", "gate.small -> small"]
DOCUMENT = source_of(STEPS, EDGES, input={"type": "object", "properties": {"amount": {"type": "number"}}})


@pytest.fixture
def operator() -> Actor:
    return make_actor("operator")


def run_in(status: str, *rows: str, **fields: Any) -> Run:
    """A run of the flow above with attempts such as ``first succeeded``, as an engine would have left it."""
    run = make_run(make_flow(document=DOCUMENT), status=status, input='{"amount":7}', events=3, **fields)
    for row in rows:
        path, state = row.split()
        port = {"gate": "small", "ask": "approve"}.get(path, "done")
        make_attempt(run, path, status=state, kind=STEPS[path]["kind"], port=port if state == "succeeded" else "")
    return run


def events(run: Run) -> list[str]:
    return list(Event.objects.filter(run=run, seq__gt=3).order_by("seq").values_list("type", flat=True))


def untouched(run: Run) -> bool:
    now = Run.objects.get(id=run.id)
    same = (now.status, now.pass_number, now.seq, now.paused) == (run.status, run.pass_number, run.seq, run.paused)
    return same and not AuditRow.objects.exists() and not Intervention.objects.exists()


VERBS: dict[str, Callable[[Actor, Run], object]] = {
    "pause": pause_run,
    "resume": resume_run,
    "retry": retry_run,
    "repeat": lambda actor, run: repeat_run(actor, run, input={}),
    "skip": lambda actor, run: skip_step(actor, run, "first"),
    "edit": lambda actor, run: edit_input(actor, run, "first", {"arguments": {"text": "x"}}),
    "preview": preview_retry,
}


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_needs_the_right_and_hides_what_is_not_to_be_seen(verb: str) -> None:
    run = run_in("failed", "first failed")
    run.flow.team = make_team("mine")
    run.flow.save()

    with pytest.raises(Forbidden) as refusal:
        VERBS[verb](make_actor("viewer"), run)
    with pytest.raises(NotFound):
        VERBS[verb](make_actor("operator", team=make_team("theirs")), run)

    assert refusal.value.right == "runs.control"
    assert untouched(run)


# ------------------------------------------------------------------ pause, resume


@pytest.mark.parametrize("status", ["queued", "waiting", "retrying", "waiting_approval"])
def test_a_run_that_nobody_drives_rests_at_once(operator: Actor, status: str) -> None:
    run = run_in(status)

    pause_run(operator, run)
    pause_run(operator, run)

    run.refresh_from_db()
    assert (run.status, run.reason, run.paused, run.wake_at) == ("waiting", "paused", True, None)
    assert events(run) == ["run.paused"]
    resume_run(operator, run)
    run.refresh_from_db()
    assert (run.status, run.reason, run.paused) == ("queued", "", False)
    assert events(run) == ["run.paused", "run.resumed"]
    assert list(AuditRow.objects.order_by("id").values_list("action", flat=True)) == ["run.pause", "run.resume"]


def test_a_driven_run_is_asked_to_rest(operator: Actor) -> None:
    run = run_in("running", owner=uuid4())

    pause_run(operator, run)

    run.refresh_from_db()
    assert (run.status, run.paused, run.signals) == ("running", True, 1)


def test_only_a_paused_run_is_resumed(operator: Actor) -> None:
    going, failed, done = run_in("queued"), run_in("failed"), run_in("succeeded")

    with pytest.raises(NotPaused):
        resume_run(operator, going)
    with pytest.raises(RunEnded, match="To go on from there, retry it"):
        resume_run(operator, failed)
    with pytest.raises(RunEnded, match="retry it from a step"):
        resume_run(operator, done)
    with pytest.raises(RunEnded):
        pause_run(operator, done)
    assert all(map(untouched, (going, failed, done)))


# ------------------------------------------------------------------ retry


@pytest.mark.parametrize("status", sorted(TERMINAL_STATES - {"succeeded"}))
def test_a_run_that_has_ended_gets_another_pass(operator: Actor, status: str) -> None:
    run = run_in(status, "first succeeded", "gate failed", cancel_requested=status == "cancelled", error='{"class":"x"}')

    retry_run(operator, run)

    run.refresh_from_db()
    assert (run.status, run.pass_number, run.reason, run.ended_at, run.cancel_requested, run.error) == (
        "queued",
        2,
        "",
        None,
        False,
        None,
    )
    assert events(run) == ["pass.started"]
    begun = Event.objects.get(run=run, type="pass.started")
    assert (begun.pass_number, json.loads(begun.data or "{}")["verb"]) == (2, "retry")
    carried = Attempt.objects.filter(run=run, pass_number=2).values_list("path", "status", "carried", "seq")
    assert list(carried) == [("first", "succeeded", True, begun.seq)]
    passed = RunPass.objects.get()
    assert (passed.number, passed.verb, passed.by, passed.redone) == (2, "retry", operator.person, [])
    assert AuditRow.objects.get().action == "run.retry"


def test_what_cannot_be_retried_says_why(operator: Actor) -> None:
    going, done, failed = (
        run_in("running", owner=uuid4()),
        run_in("succeeded", "first succeeded"),
        run_in("failed", "first failed"),
    )

    with pytest.raises(RunGoesOn, match="it is running"):
        retry_run(operator, going)
    with pytest.raises(NothingFailed, match="say from which step"):
        retry_run(operator, done)
    with pytest.raises(NeverRan, match="'small' has not run"):
        retry_run(operator, done, "small")
    with pytest.raises(NeverRan):
        retry_run(operator, failed, "nothing[3].of/the kind")
    with pytest.raises(PassChanged):
        retry_run(operator, failed, seen_pass=2)
    assert all(map(untouched, (going, done, failed)))


def test_a_run_has_its_whole_time_again(operator: Actor) -> None:
    run = run_in("failed", "first failed", reason="timed_out")
    Run.objects.filter(id=run.id).update(deadline=run.created_at)
    run.refresh_from_db()
    Run.objects.filter(id=run.id).update(
        created_at=run.created_at - timedelta(hours=5), deadline=run.created_at - timedelta(hours=4)
    )

    retry_run(operator, run)

    run.refresh_from_db()
    assert run.deadline is not None
    left = run.deadline - RunPass.objects.get().at
    assert timedelta(minutes=59) < left < timedelta(minutes=61)


@pytest.mark.django_db(transaction=True)
def test_of_two_retries_at_once_one_begins_a_pass_and_the_other_is_told(operator: Actor) -> None:
    run = run_in("failed", "first failed")

    outcomes = _at_once(lambda: retry_run(operator, run), lambda: retry_run(operator, run))

    refusal = next(each for each in outcomes if isinstance(each, RunGoesOn))
    assert sum(isinstance(each, Run) for each in outcomes) == 1
    assert operator.name in refusal.message
    assert Run.objects.get(id=run.id).pass_number == 2
    assert RunPass.objects.count() == AuditRow.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_cancel_and_a_retry_at_once_leave_one_truth(operator: Actor) -> None:
    run = run_in("cancelled", "first failed")

    _at_once(lambda: retry_run(operator, run), lambda: cancel_run(operator, run))

    now = Run.objects.get(id=run.id)
    assert now.pass_number == 2
    assert now.status in {"queued", "cancelled"}
    ends = Event.objects.filter(run=run, type="run.ended", pass_number=2).count()
    assert ends == (now.status == "cancelled")
    assert list(Event.objects.filter(run=run).order_by("seq").values_list("seq", flat=True)) == list(range(1, now.seq + 1))


def _at_once(*acts: Callable[[], object]) -> list[object]:
    def one(act: Callable[[], object]) -> object:
        try:
            return act()
        except Refusal as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


# ------------------------------------------------------------------ repeating with a change


def test_a_changed_input_makes_a_linked_run_and_leaves_the_old_one(operator: Actor) -> None:
    run = run_in("succeeded", "first succeeded", "gate succeeded", "small succeeded", tags=["ops"], cap_cost=Decimal("0.5"))
    Run.objects.filter(id=run.id).update(spent=Decimal("0.1"))

    fork = repeat_run(operator, run, input={"amount": 8}, from_step="small")

    assert (fork.origin_id, fork.origin_path, fork.input, fork.tags, fork.cap_cost, fork.spent) == (
        run.id,
        "small",
        '{"amount":8}',
        ["ops"],
        Decimal("0.5"),
        0,
    )
    assert list(Attempt.objects.filter(run=fork, carried=True).order_by("id").values_list("path", flat=True)) == ["first", "gate"]
    assert json.loads(Event.objects.get(run=fork).data or "{}")["origin"] == run.public_id
    run.refresh_from_db()
    assert (run.status, run.pass_number) == ("succeeded", 1)
    assert AuditRow.objects.get().action == "run.start"


def test_another_version_takes_over_what_fits_it(operator: Actor) -> None:
    run = run_in("succeeded", "first succeeded", "gate succeeded", "small succeeded")
    steps = STEPS | {"first": {"kind": "set", "with": {"values": {}}}}
    newer = source_of(steps, EDGES, input={"type": "object"})
    run.flow.published = FlowVersion.objects.create(flow=run.flow, number=2, document=newer, hash="1" * 64)
    run.flow.save()

    fork = repeat_run(operator, run, version="live", from_step="small")

    assert fork.version.number == 2
    assert list(Attempt.objects.filter(run=fork).values_list("path", flat=True)) == ["gate"]  # `first` is of another kind now
    preview = preview_retry(operator, run, "small", version=2)
    assert (preview.makes, preview.version, preview.live, preview.reused) == ("run", 2, True, ("gate",))


def test_what_cannot_be_repeated_says_why(operator: Actor) -> None:
    run = run_in("succeeded", "first succeeded", "gate succeeded", "ask succeeded", "pay succeeded")

    with pytest.raises(BehindApproval, match="Begin at ask"):
        repeat_run(operator, run, input={}, from_step="pay")
    with pytest.raises(InputRefused):
        repeat_run(operator, run, input={"amount": "much"})
    with pytest.raises(NotFound, match="version 9"):
        repeat_run(operator, run, version=9)
    with pytest.raises(NeverRan):
        repeat_run(operator, run, input={}, from_step="small")
    with pytest.raises(Invalid, match="no step of version 1"):
        repeat_run(operator, run, input={}, from_step="nothing")
    with pytest.raises(Invalid, match="Begin at 'each'"):
        repeat_run(operator, run, input={}, from_step="each[0].x")
    with pytest.raises(Invalid, match="cannot be set on this step"):
        repeat_run(operator, run, from_step="first", route="cheap")
    with pytest.raises(RunGoesOn):
        repeat_run(operator, run_in("waiting", "first succeeded"), input={}, from_step="first")
    assert not Run.objects.filter(origin__isnull=False).exists()


# ------------------------------------------------------------------ skip


def test_a_waiting_step_is_gone_past_with_a_row_and_an_event(operator: Actor) -> None:
    run = run_in("waiting", "first waiting")

    skip_step(operator, run, "first", output={"sent": True}, comment="By phone.")

    run.refresh_from_db()
    assert (run.status, run.signals, events(run)) == ("queued", 1, ["step.passed_over"])
    row = Intervention.objects.get()
    assert (row.path, row.kind, json.loads(row.after), row.by) == (
        "first",
        "skip",
        {"output": {"sent": True}, "port": "done"},
        operator.person,
    )
    assert AuditRow.objects.get().data["comment"] == "By phone."


def test_nobody_goes_past_people(operator: Actor) -> None:
    waiting = run_in("waiting_approval", "first succeeded", "gate succeeded", "ask waiting")
    make_request(waiting, path="ask")
    paused = run_in("waiting", "first succeeded", paused=True)
    asked = run_in("waiting_approval", "first waiting")
    Request.objects.filter(id=make_request(asked, path="first").id).update(kind="unknown")

    with pytest.raises(DecideInstead):
        skip_step(operator, waiting, "ask", port="approve")
    with pytest.raises(DecideInstead, match="ask"):
        skip_step(operator, paused, "gate", port="small")
    with pytest.raises(DecideInstead):
        skip_step(operator, asked, "first")
    assert all(map(untouched, (waiting, paused, asked)))
    skip_step(operator, paused, "gate", port="large")


def test_what_cannot_be_skipped_says_why(operator: Actor) -> None:
    going = run_in("running", "first succeeded", owner=uuid4())
    calling = run_in("running", owner=uuid4())
    make_call(calling, "first", kind="tool", status="started")
    done = run_in("succeeded", "first succeeded")

    with pytest.raises(StepOver):
        skip_step(operator, going, "first")
    with pytest.raises(NotBegun, match="Pause the run first"):
        skip_step(operator, going, "small")
    with pytest.raises(StepBusy):
        skip_step(operator, calling, "first")
    with pytest.raises(RunEnded):
        skip_step(operator, done, "first")
    with pytest.raises(NotFound, match="step 'nothing'"):
        skip_step(operator, going, "nothing")
    with pytest.raises(Invalid) as refusal:
        skip_step(operator, going, "small", port="left", comment="\x00")
    assert [fault.place for fault in refusal.value.problems] == ["port", "comment"]
    assert all(map(untouched, (going, calling, done)))


# ------------------------------------------------------------------ steering


def test_an_edit_is_written_down_with_what_stood_there(operator: Actor) -> None:
    run = run_in("waiting", paused=True)

    edit_input(operator, run, "first", {"arguments": {"text": "Good day"}})
    second = edit_input(operator, run, "first", {"arguments": {"text": "Good night"}})

    assert json.loads(second.before or "") == {"arguments": {"text": "Good day"}}
    assert events(run) == ["step.edited", "step.edited"]
    first, _ = AuditRow.objects.order_by("id")
    assert first.data == {
        "path": "first",
        "before": {"arguments": {"text": "Hello"}},
        "after": {"arguments": {"text": "Good day"}},
    }


def test_an_edit_must_fit_the_step_and_the_tool(operator: Actor) -> None:
    ToolEntry.objects.create(
        slug="mail.send",
        kind="python",
        arguments={"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
    )
    run = run_in("waiting", "gate succeeded", paused=True)

    for fields, place in (
        ({"tool": "pay.out"}, "input.tool"),
        ({"arguments": "x"}, "input.arguments"),
        ({"arguments": {"text": 7}}, "input.arguments.text"),
        ({}, "input"),
    ):
        with pytest.raises(Invalid) as refusal:
            edit_input(operator, run, "first", fields)
        assert [fault.place for fault in refusal.value.problems] == [place]
    with pytest.raises(DecideInstead, match="ask seals what this step sends"):
        edit_input(operator, run, "pay", {"arguments": {"amount": 99}})
    with pytest.raises(DecideInstead):
        edit_input(operator, run, "ask", {"title": "Nothing to see"})
    with pytest.raises(StepOver):
        edit_input(operator, run_in("running", "first succeeded", owner=uuid4()), "first", {"arguments": {"text": "x"}})
    with pytest.raises(RunEnded):
        edit_input(operator, run_in("failed", "first failed"), "first", {"arguments": {"text": "x"}})
    assert untouched(run)


# ------------------------------------------------------------------ previews, many at once


def test_a_preview_says_what_is_reused_what_runs_again_and_what_changed_the_world(operator: Actor) -> None:
    ToolEntry.objects.create(slug="mail.send", kind="python", effect="write")
    run = run_in("succeeded", "first succeeded", "gate succeeded", "small succeeded")
    make_call(run, "first", kind="tool", target="mail.send", cost="0.25")

    whole, part = preview_retry(operator, run, "first"), preview_retry(operator, run, "small")

    assert [(step.path, step.cost, step.wrote) for step in whole.again] == [
        ("first", Decimal("0.25"), {"mail.send"}),
        ("gate", 0, set()),
        ("small", 0, set()),
    ]
    assert (whole.makes, whole.reused, whole.wrote, whole.cost, whole.live) == ("pass", (), ("first",), Decimal("0.25"), True)
    assert (part.reused, part.again_count, part.wrote, part.cost) == (("first", "gate"), 1, (), 0)
    assert untouched(run)


def test_many_runs_are_retried_each_by_itself(operator: Actor) -> None:
    failed = [run_in("failed", "first failed"), run_in("failed", "first failed")]
    done = run_in("succeeded", "first succeeded")
    runs = [failed[0], done, failed[1]]

    foreseen = preview_many(operator, "retry", runs)
    assert [line.refusal is None for line in foreseen] == [True, False, True]
    assert untouched(done)
    lines = control_many(operator, "retry", runs)

    assert [line.run.status for line in lines] == ["queued", "succeeded", "queued"]
    assert isinstance(lines[1].refusal, NothingFailed)
    assert list(AuditRow.objects.values_list("action", flat=True)) == ["run.retry", "run.retry"]
    with pytest.raises(Invalid, match="verb"):
        control_many(operator, "explode", runs)
    with pytest.raises(Invalid, match="At most"):
        control_many(operator, "cancel", [done] * (MOST + 1))


def test_nobody_goes_past_people_inside_a_sub_flow_or_a_map(operator: Actor) -> None:
    ask = {"kind": "approval", "with": {"title": "May it?"}}
    make_flow("asks", document=source_of({"ask": ask}, ["start -> ask"]))
    make_flow("quiet", document=source_of({"x": {"kind": "set", "with": {"values": {}}}}, ["start -> x"]))
    steps = {
        "sub": {"kind": "subflow", "with": {"flow": "asks"}},
        "lost": {"kind": "subflow", "with": {"flow": "nowhere"}},
        "calm": {"kind": "subflow", "with": {"flow": "quiet"}},
        "each": {"kind": "map", "with": {"over": "[1]", "body": {"steps": {"ask": dict(ask)}, "edges": ["start -> ask"]}}},
    }
    flow = make_flow(document=source_of(steps, [f"start -> {key}" for key in steps]))
    run = make_run(flow, status="waiting", paused=True)

    for path in ("sub", "lost", "each"):
        with pytest.raises(DecideInstead):
            skip_step(operator, run, path)
    assert untouched(run)
    skip_step(operator, run, "calm")
