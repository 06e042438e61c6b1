"""The kill switch: nothing new begins, what is in flight ends, and everything goes on when it is released."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from flows.access.refusals import Forbidden, Invalid
from flows.execution.killswitch import release_stopped, the_switch
from flows.models import AuditRow, Call, KillSwitch, Run, ToolJob
from flows.models.identifiers import new_id
from flows.runs.actions.cancel_run import cancel_run
from flows.runs.actions.throw_switch import throw_switch
from flows.tools.jobs import run_job
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import approval, calls_of, decided, finish, output_of, reach, request_of, start, tool, types_of, until
from tests.makers import make_actor, make_run

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN = {"a": tool("test.mark"), "b": tool("test.mark")}
EDGES = ["start -> a", "a -> b"]


class Marks:
    """An effect that can be held up while it is in flight."""

    def __init__(self, add_tool: AddTool, *, held: bool = False) -> None:
        self.made = 0
        self.may_end = threading.Event()
        if not held:
            self.may_end.set()
        add_tool("test.mark", self.function(), effect="write", repeat="never")

    def function(self) -> Any:
        async def mark() -> int:
            self.made += 1
            while not self.may_end.is_set():
                await asyncio.sleep(0.005)
            return self.made

        return mark


def thrown() -> None:
    throw_switch(make_actor("owner"), True, "the mailer sends twice")


def released() -> None:
    throw_switch(make_actor("owner"), False)


def test_no_effect_begins_while_it_is_on_and_all_go_on_when_it_is_released(drive: Drive, add_tool: AddTool) -> None:
    marks = Marks(add_tool)
    thrown()
    drive()
    runs = [start(CHAIN, EDGES, output="{{ steps.b.output }}") for _ in range(3)]

    for run in runs:
        stopped = reach(run, "waiting")
        assert (stopped.reason, stopped.owner, stopped.open_calls, stopped.reserved) == ("kill_switch", None, 0, 0)
    assert marks.made == 0
    assert not Call.objects.exists()

    released()
    for run in runs:
        output_of(finish(run))
    assert marks.made == 6
    assert "run.parked" in types_of(runs[0])


def test_what_is_in_flight_ends_and_nothing_follows_it(drive: Drive, add_tool: AddTool) -> None:
    marks = Marks(add_tool, held=True)
    drive()
    run = start(CHAIN, EDGES)
    until(lambda: marks.made == 1)
    thrown()
    marks.may_end.set()

    run = reach(run, "waiting")
    assert run.reason == "kill_switch"
    assert [(call.path, call.status) for call in calls_of(run)] == [("a", "succeeded")]

    released()
    finish(run)
    assert marks.made == 2


def test_pure_steps_and_questions_to_people_do_not_need_it(drive: Drive) -> None:
    thrown()
    drive()
    run = start({"s": {"kind": "set", "with": {"values": {"x": 1}}}, "ask": approval()}, ["start -> s", "s -> ask"])
    decided(request_of(run))

    finish(run)


def test_of_parallel_branches_each_rests_and_goes_on(drive: Drive, add_tool: AddTool) -> None:
    marks = Marks(add_tool, held=True)
    drive()
    steps = {name: tool("test.mark") for name in ("a", "b", "c", "d")}
    run = start(steps, ["start -> a", "start -> b", "a -> c", "b -> d"])
    until(lambda: marks.made == 2)
    thrown()
    marks.may_end.set()
    reach(run, "waiting")
    released()

    finish(run)
    assert marks.made == 4


def test_a_run_that_it_stopped_can_be_cancelled(drive: Drive, add_tool: AddTool) -> None:
    Marks(add_tool)
    thrown()
    drive()
    run = reach(start(CHAIN, EDGES), "waiting")

    cancel_run(make_actor("operator"), run)
    assert Run.objects.get(id=run.id).status == "cancelled"


def test_one_that_comes_to_rest_while_it_is_released_is_found_by_the_reconciler(drive: Drive, add_tool: AddTool) -> None:
    Marks(add_tool)
    run = make_run(start(CHAIN, EDGES).flow, status="waiting", reason="kill_switch")
    drive()

    finish(run)


def test_a_job_of_the_tools_worker_is_not_taken(add_tool: AddTool) -> None:
    ran: list[bool] = []
    add_tool("test.plain", lambda: ran.append(True))
    job = ToolJob.objects.create(call_id=new_id(), function="test.plain", arguments="{}", state="queued")
    thrown()
    assert not run_job(job.call_id)
    released()
    assert run_job(job.call_id)
    assert ran == [True]


def test_only_owners_throw_it_and_each_throw_is_in_the_audit_log() -> None:
    for role in ("operator", "builder", "auditor", "approver"):
        with pytest.raises(Forbidden):
            throw_switch(make_actor(role), True, "no")
    owner = make_actor("owner")
    with pytest.raises(Invalid):
        throw_switch(owner, True, "  ")
    assert not the_switch().is_on

    throw_switch(owner, True, "prices are wrong")
    throw_switch(owner, True, "another reason")  # changes nothing
    throw_switch(owner, False)

    rows = list(AuditRow.objects.filter(subject_kind="killswitch").order_by("id").values_list("action", "data__reason", "actor"))
    assert [row[:2] for row in rows] == [("killswitch.on", "prices are wrong"), ("killswitch.off", "")]
    assert owner.person is not None
    assert {row[2] for row in rows} == {owner.person.id}


def test_nothing_is_released_while_it_is_on() -> None:
    make_run(status="waiting", reason="kill_switch")
    KillSwitch.objects.create(id=1, is_on=True)

    assert release_stopped() == []
