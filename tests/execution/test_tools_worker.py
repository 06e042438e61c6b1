"""Plain functions: the engine puts a job into the table and waits; the tools worker takes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from flows.models import ToolJob
from flows.runs.actions.cancel_run import cancel_run
from flows.tools.jobs import run_job
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import calls_of, error_of, finish, output_of, start, tool, until
from tests.makers import make_actor


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
    drive()
    run = start({"a": tool("test.late")}, ["start -> a"])
    until(lambda: ToolJob.objects.filter(state="queued").exists())

    cancel_run(make_actor("operator"), run)
    run = finish(run, within=3)

    assert run.status == "cancelled"
    assert until(lambda: ToolJob.objects.get().state == "failed")
