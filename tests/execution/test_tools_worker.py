"""Plain functions: the engine puts a job into the table and waits; the tools worker takes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from flows.models import Run, ToolJob
from flows.runs.actions.cancel_run import cancel_run
from flows.tools import jobs
from flows.tools.jobs import run_job
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import calls_of, error_of, finish, output_of, start, tool, until
from tests.makers import make_actor, make_run
from tests.runs.journals import make_call


@contextmanager
def tools_worker() -> Iterator[None]:
    """A thread that stands in for the tools worker: it takes what is queued."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(0.01):
                for job in ToolJob.objects.filter(state="queued").values_list("call_id", flat=True):
                    run_job(job)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def test_a_plain_function_runs_in_the_tools_worker(drive: Drive, add_tool: AddTool) -> None:
    where: list[int] = []

    def double(x: int) -> int:
        where.append(threading.get_ident())
        return 2 * x

    add_tool("test.double", double)
    engine = drive()
    with tools_worker():
        run = finish(start({"a": tool("test.double", {"x": 21})}, ["start -> a"], output="{{ steps.a.output }}"))

    assert output_of(run) == 42
    assert where
    assert engine._thread.ident not in where
    (call,) = calls_of(run)
    job = ToolJob.objects.get(call_id=call.id)
    assert (job.state, job.result) == ("done", "42")


def test_its_failure_is_the_steps_failure(drive: Drive, add_tool: AddTool) -> None:
    def broken() -> None:
        raise ValueError("out of paper")

    add_tool("test.broken", broken)
    drive()
    with tools_worker():
        run = finish(start({"a": tool("test.broken")}, ["start -> a"]))

    assert error_of(run)["message"] == "test.broken: ValueError: out of paper"


def test_a_job_that_nobody_takes_in_time_is_withdrawn_and_never_runs(drive: Drive, add_tool: AddTool) -> None:
    ran: list[bool] = []
    add_tool("test.late", lambda: ran.append(True), timeout=0.2)
    drive()

    run = finish(start({"a": tool("test.late")}, ["start -> a"]))

    assert error_of(run)["class"] == "timeout"
    assert "did not start within 0.2 s" in error_of(run)["message"]
    assert not run_job(calls_of(run)[0].id)
    assert ran == []


def test_a_cancelled_run_takes_its_job_back(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.late", lambda: None)
    drive(hooks=[jobs.reclaim_jobs])  # withdraws it where the engine finds no connection in time
    run = start({"a": tool("test.late")}, ["start -> a"])
    until(lambda: ToolJob.objects.filter(state="queued").exists())

    cancel_run(make_actor("operator"), run)
    run = finish(run)

    assert run.status == "cancelled"
    assert until(lambda: ToolJob.objects.get().state == "failed")


def test_a_job_that_could_not_be_taken_back_is_withdrawn_later(add_tool: AddTool) -> None:
    add_tool("test.late", lambda: None)
    waiting, over = (make_call(make_run(), "a", status=status, kind="tool") for status in ("started", "unknown"))
    for call in (waiting, over):
        ToolJob.objects.create(call_id=call.id, function="test.late", arguments="{}", state="queued")

    jobs.reclaim_jobs()

    assert [ToolJob.objects.get(call_id=call.id).state for call in (waiting, over)] == ["queued", "failed"]


def taken_by_the_dead(run: Run, slug: str) -> ToolJob:
    """The job of the run's call, as a tools worker had it that has not been heard of for a minute."""
    call = until(lambda: calls_of(run))[0]
    job = until(lambda: ToolJob.objects.filter(call_id=call.id).first())
    assert job is not None
    assert job.function == slug
    gone = timezone.now() - timedelta(minutes=1)
    ToolJob.objects.filter(call_id=call.id).update(state="taken", taken_at=gone, beat=gone)
    return job


def test_a_job_of_a_dead_worker_is_done_again_where_it_may_be_repeated(drive: Drive, add_tool: AddTool) -> None:
    add_tool("test.again", lambda: 7)
    drive(hooks=[jobs.reclaim_jobs])
    run = start({"a": tool("test.again")}, ["start -> a"], output="{{ steps.a.output }}")
    taken_by_the_dead(run, "test.again")

    with tools_worker():
        assert output_of(finish(run)) == 7
    assert len(calls_of(run)) == 1


def test_of_one_that_may_never_be_repeated_the_outcome_is_unknown(drive: Drive, add_tool: AddTool) -> None:
    ran: list[bool] = []
    add_tool("test.once", lambda: ran.append(True), effect="write", repeat="never")
    drive(hooks=[jobs.reclaim_jobs])
    run = start({"a": tool("test.once")}, ["start -> a"])
    job = taken_by_the_dead(run, "test.once")

    until(lambda: calls_of(run)[0].status == "unknown")
    assert not run_job(job.call_id)
    assert ran == []
    (call,) = calls_of(run)
    assert "died while it ran" in call.error_message


def test_a_job_that_lives_is_left_alone(add_tool: AddTool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: it shows that it lives from a thread of its own."""
    monkeypatch.setattr(jobs, "BEAT", 0.02)
    add_tool("test.long", lambda: until(lambda: ToolJob.objects.get().beat > taken[0]) and 1)
    call = make_call(make_run(status="running"), "a", status="started", kind="tool", repeat="never")
    taken = [timezone.now() + timedelta(milliseconds=50)]
    ToolJob.objects.create(call_id=call.id, function="test.long", arguments="{}", state="queued")

    assert run_job(call.id)
    assert ToolJob.objects.get().state == "done"
    assert jobs.reclaim_jobs() == []


def test_a_job_whose_call_has_been_given_up_is_not_begun(add_tool: AddTool) -> None:
    add_tool("test.late", lambda: 1)
    call = make_call(make_run(), "a", status="unknown", kind="tool")
    ToolJob.objects.create(call_id=call.id, function="test.late", arguments="{}", state="queued")

    assert not run_job(call.id)
