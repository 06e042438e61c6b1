"""What is killed comes back, and the runs go on where they were: nothing that was finished is done again."""

import os
import signal
import time
from collections import Counter
from uuid import UUID

import pytest
import redis
from celery import Celery

from orchestrator.addresses import redis_addresses, socket_folder
from tests.faults.harness import LEASE, MARGIN, SCAN, Site, kill, told
from tests.orchestrator.processes import until

pytestmark = pytest.mark.slow

CLAUSES, DELAY, AT_ONCE = 24, 0.6, 6


def requests_for(site: Site, run: UUID) -> dict[int, int]:
    """How often the model server was asked for each clause."""
    asked = Counter(int(line["body"]["messages"][-1]["content"].split("clause number ")[1]) for line in site.models.of(run))
    return dict(asked)


def finished_clauses(site: Site, run: UUID) -> set[int]:
    query = "SELECT path FROM flows_call WHERE run_id = %s AND kind = 'model' AND status = 'succeeded'"
    return {int(path.split("[")[1].split("]")[0]) for (path,) in site.database.rows(query, run)}


def assert_complete(site: Site, run: UUID) -> dict[str, int]:
    """The run succeeded, with one success for each clause and one effect; what its calls are now.

    Nothing was sent that has no record, and what succeeded was sent. A call whose intent was kept while the word of it was lost is
    unknown and was never sent: so the two counts need not be equal."""
    assert site.wait_for_end(run) == "succeeded"
    calls = site.calls(run)
    assert calls["succeeded"] == CLAUSES + 1
    assert len({line["key"] for line in site.effects.of(run)}) == 1
    assert calls["succeeded"] <= sum(requests_for(site, run).values()) + len(site.effects.of(run)) <= sum(calls.values())
    return calls


def running_map(site: Site, *, done: int = 8) -> UUID:
    """A run in the middle of its map: so many clauses are done, and all places are in flight, each at its server."""
    run = site.start_clauses(CLAUSES, DELAY)
    site.wait_for_calls(run, succeeded=done, in_flight=AT_ONCE)
    until(lambda: sum(requests_for(site, run).values()) >= done + AT_ONCE, 20, "what is in flight is at its server")
    return run


def test_a_killed_engine_loses_no_finished_call(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run = running_map(site)
    owner = site.owner(run)
    with site.watched_purses() as overspent:
        killed = kill(owner)
        finished = finished_clauses(site, run)
        calls = assert_complete(site, run)

    recovery = site.events(run, "run.reclaimed")[0] - killed
    told(capsys, f"recovered in {recovery:.2f} s (lease {LEASE:g} s); calls {calls}")
    assert calls == {"succeeded": CLAUSES + 1, "unknown": AT_ONCE}
    assert recovery <= LEASE + SCAN + MARGIN
    asked = requests_for(site, run)
    assert len(finished) >= 8
    assert {asked[n] for n in finished} == {1}
    assert CLAUSES < sum(asked.values()) <= CLAUSES + calls["unknown"]
    assert max(asked.values()) == 2
    assert len(site.events(run, "run.reclaimed")) == 1
    assert overspent == []


def test_a_killed_postgresql_comes_back_and_the_run_completes(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run = running_map(site)
    finished = finished_clauses(site, run)
    owner = site.owner(run)

    killed = kill(site.child("/postgres "))

    began = "SELECT extract(epoch FROM pg_postmaster_start_time())::float8"
    until(lambda: site.database.one(began) > killed, 20, "PostgreSQL runs again")
    beats = "SELECT 1 FROM flows_worker WHERE pid = %s AND beat > to_timestamp(%s)"
    until(lambda: site.database.one(beats, owner, killed), 20, "the owner has told that it lives")
    back = time.time() - killed
    calls = assert_complete(site, run)
    reclaims = len(site.events(run, "run.reclaimed"))
    told(capsys, f"PostgreSQL back after {back:.2f} s, {reclaims} reclaims; calls {calls}")
    asked = requests_for(site, run)
    assert {asked[n] for n in finished} == {1}
    if back < 0.75 * LEASE:  # else the owner had to let go
        assert reclaims == 0, "a live owner keeps its runs, and writes down what came meanwhile"
        assert set(calls) == {"succeeded"}


def test_connections_that_are_cut_in_whatever_they_do_lose_nothing(site: Site) -> None:
    """Every session of every process, several times: statements and commits break off, and nobody has to let go of a run."""
    run = site.start_clauses(CLAUSES, 0.3)
    for done in (2, 8, 14, 20):
        until(lambda done=done: len(finished_clauses(site, run)) >= done, 30)
        site.database.rows(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )

    assert set(assert_complete(site, run)) == {"succeeded"}
    assert site.events(run, "run.reclaimed") == []


def test_a_killed_redis_costs_nothing_but_time(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run = running_map(site)
    killed = kill(site.child("redis.sock"))
    second = site.start_clauses(CLAUSES, 0.05)

    for each in (run, second):
        assert set(assert_complete(site, each)) == {"succeeded"}
        assert site.events(each, "run.reclaimed") == []
    told(capsys, f"the run begun after the kill: claimed {site.events(second, 'run.started')[0] - killed:.2f} s after it")


def test_a_deaf_redis_delays_no_answer_and_stops_no_run(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Half-open: the socket takes what is sent and answers nothing. Runs are found by looking, in one scan."""
    server = site.child("redis.sock")
    os.kill(server, signal.SIGSTOP)
    try:
        began = time.monotonic()
        run = site.start_clauses(4, 0.05)
        answered = time.monotonic() - began
        assert site.wait_for_end(run) == "succeeded"
        created = site.database.one("SELECT extract(epoch FROM created_at)::float8 FROM flows_run WHERE id = %s", run)
        claimed = site.events(run, "run.started")[0] - created
    finally:
        os.kill(server, signal.SIGCONT)
    told(capsys, f"answered in {answered * 1000:.0f} ms, claimed after {claimed:.2f} s")
    assert answered <= 2.0
    assert claimed <= SCAN + MARGIN


def test_an_emptied_redis_is_not_noticed(site: Site) -> None:
    run = site.start_clauses(CLAUSES, 0.2)
    store = redis.Redis(unix_socket_path=str(socket_folder(site.data) / "redis.sock"))
    for done in (1, 8, 16):
        until(lambda done=done: len(finished_clauses(site, run)) >= done, 20)
        store.flushall()

    assert set(assert_complete(site, run)) == {"succeeded"}
    assert site.events(run, "run.reclaimed") == []


def test_a_killed_supervisor_is_started_again_and_its_runs_complete(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run = running_map(site)
    finished = finished_clauses(site, run)
    processes = site.engines()

    kill(site.pid)
    assert site.process is not None
    site.process.wait()
    until(lambda: not any(is_alive(pid) for pid in processes), 5, "nothing of it is left")
    took = site.start()

    calls = assert_complete(site, run)
    asked = requests_for(site, run)
    told(capsys, f"started again in {took:.1f} s; calls {calls}")
    assert {asked[n] for n in finished} == {1}
    assert CLAUSES < sum(asked.values()) <= CLAUSES + calls["unknown"]
    assert calls["unknown"] <= AT_ONCE


def test_an_engine_that_is_told_to_end_hands_its_runs_over(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    run = site.start_clauses(CLAUSES, 0.3)
    until(lambda: len(finished_clauses(site, run)) >= 6, 20)
    owner = site.owner(run)

    told_to_end = time.time()
    os.kill(owner, signal.SIGTERM)

    calls = assert_complete(site, run)
    handed_over = site.events(run, "run.continued")[0] - told_to_end
    told(capsys, f"driven by another engine after {handed_over:.2f} s; calls {calls}")
    assert set(calls) == {"succeeded"}
    assert site.events(run, "run.reclaimed") == []
    assert handed_over <= 0.3 + SCAN + MARGIN
    assert set(requests_for(site, run).values()) == {1}


def test_an_engine_that_wakes_up_after_its_lease_changes_nothing(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Stopped in the middle of its calls, thought dead, woken: what it then says of a run that another drives is refused."""
    run = running_map(site)
    zombie = site.owner(run)
    os.kill(zombie, signal.SIGSTOP)
    try:
        until(lambda: site.events(run, "run.reclaimed"), LEASE + SCAN + MARGIN)
    finally:
        os.kill(zombie, signal.SIGCONT)

    calls = assert_complete(site, run)
    told(capsys, f"calls {calls}")
    assert calls["unknown"] == AT_ONCE
    assert len(site.events(run, "run.reclaimed")) == 1
    assert site.database.rows("SELECT epoch FROM flows_run WHERE id = %s", run) == [(2,)]


def test_fifty_rings_for_one_run_give_it_one_owner(site: Site) -> None:
    bell = Celery(broker=redis_addresses("", site.data).celery)
    run = site.start_clauses(CLAUSES, 0.1)

    def ring(times: int) -> None:
        for _ in range(times):
            bell.send_task("flows.wake", ([str(run)],), queue="engine", ignore_result=True)

    ring(25)
    until(lambda: len(finished_clauses(site, run)) >= 6, 20)
    ring(25)

    assert set(assert_complete(site, run)) == {"succeeded"}
    assert site.database.rows("SELECT epoch FROM flows_run WHERE id = %s", run) == [(1,)]
    assert site.database.rows("SELECT max(n), max(attempt) FROM flows_call WHERE run_id = %s", run) == [(1, 1)]
    bell.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
