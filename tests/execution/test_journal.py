"""The journal's statement and its writer: what is accepted, what is refused and why, and what a lost connection leaves behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.utils import timezone

from flows.execution.journal import Op, Record, Verdict
from flows.execution.writer import RecordRefused, Writer
from flows.models import Attempt, Call, Delivery, Event, Request, Run
from flows.models.identifiers import new_id
from orchestrator.engine import dsn
from tests.makers import make_request, make_run

pytestmark = pytest.mark.django_db(transaction=True)

Said = Verdict | BaseException
EPOCH = 3


def driven(**fields: Any) -> Run:
    """A run that somebody drives at epoch 3, with one event."""
    return make_run(**{"status": "running", "owner": uuid4(), "epoch": EPOCH, **fields})


def begin(path: str = "a", *, reserve: str = "0", tokens: int = 0, n: int = 1) -> Op:
    return {
        "op": "begin",
        "event": "step.started",
        "path": path,
        "attempt": 1,
        "n": n,
        "call": new_id(),
        "kind": "model",
        "target": "m",
        "repeat": "freely",
        "key": uuid4(),
        "request": "{}",
        "reserve": reserve,
        "reserve_tokens": tokens,
        "simulated": True,
        "priced": True,
    }


def settle(begun: Op, cost: str | None = "0", tokens: int = 0) -> Op:
    return {
        "op": "settle",
        "path": begun["path"],
        "call": begun["call"],
        "status": "succeeded",
        "cost": cost,
        "paid": True,
        "tokens": tokens,
    }


def result(path: str = "a", status: str = "succeeded", n: int = 1) -> Op:
    return {"op": "result", "event": f"step.{status}", "path": path, "attempt": n, "kind": "tool", "status": status}


def fate(state: str) -> Op:
    return {
        "op": "fate",
        "event": "run.ended" if state not in {"waiting", "queued"} else "run.parked",
        "next": state,
        "reason": "because",
    }


def record(run: Run, *ops: Op, number: int = 1, epoch: int = EPOCH, signals: int = 0, **more: Any) -> Record:
    return Record(run.id, epoch, number, signals, 1, list(ops), **more)


async def _written(writer: Writer, records: list[Record]) -> list[Said]:
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[Said]] = [loop.create_future() for _ in records]
    for each, answer in zip(records, answers, strict=True):
        writer.submit(each, answer.set_result)
    async with asyncio.timeout(15):
        return list(await asyncio.gather(*answers))


def writing(work: Callable[[Writer], Any]) -> Any:
    """Runs `work` beside a writer."""

    async def main() -> Any:
        writer = Writer(dsn())
        task = asyncio.create_task(writer.run())
        try:
            return await work(writer)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(main())


def write(*records: Record) -> list[Said]:
    """The verdicts of these records, which arrive together."""
    return list(writing(lambda writer: _written(writer, list(records))))


def verdict(*records: Record) -> Verdict:
    (only,) = write(*records)
    assert isinstance(only, Verdict), only
    return only


def events(run: Run) -> list[tuple[int, str]]:
    return list(Event.objects.filter(run_id=run.id).order_by("seq").values_list("seq", "type"))


# ---------------------------------------------------------------------- verdicts


def test_what_is_accepted_is_written_and_counted() -> None:
    run = driven(cap_cost=Decimal(1), claims=2)
    first = begin("a", reserve="0.4", tokens=10)

    assert verdict(record(run, first)) == Verdict()
    run.refresh_from_db()
    assert (run.seq, run.open_calls, run.reserved, run.reserved_tokens, run.record) == (2, 1, Decimal("0.4"), 10, 1)
    assert verdict(record(run, settle(first, "0.1", 7), result("a"), begin("b", reserve="0.5"), number=2)) == Verdict()

    run.refresh_from_db()
    assert (run.seq, run.open_calls, run.reserved, run.spent) == (4, 1, Decimal("0.5"), Decimal("0.1"))
    assert (run.reserved_tokens, run.spent_tokens, run.claims) == (0, 7, 0)
    assert events(run) == [(1, "run.created"), (2, "step.started"), (3, "step.succeeded"), (4, "step.started")]
    assert Call.objects.get(path="a").settled == Decimal("0.1")
    assert Attempt.objects.get(path="a").seq == 3


def test_a_record_with_an_old_epoch_is_fenced_and_nothing_of_it_is_written() -> None:
    run = driven()
    before = Run.objects.filter(id=run.id).values().get()

    said = verdict(record(run, begin(), result("b"), fate("succeeded"), epoch=EPOCH - 1, asks=[ask(run)]))

    assert said.fenced
    assert Run.objects.filter(id=run.id).values().get() == before
    assert events(run) == [(1, "run.created")]
    assert not Call.objects.exists()
    assert not Attempt.objects.exists()
    assert not Request.objects.exists()


@pytest.mark.parametrize("status", ["queued", "waiting", "succeeded"])
def test_a_run_that_is_not_running_is_fenced(status: str) -> None:
    run = driven(status=status, **({"owner": None} if status != "running" else {}))

    assert verdict(record(run, begin())).fenced


def test_no_call_begins_once_the_run_is_cancelled_and_what_came_home_is_kept() -> None:
    run = driven()
    first = begin("a", reserve="0.4")
    verdict(record(run, first))
    Run.objects.filter(id=run.id).update(cancel_requested=True)

    said = verdict(record(run, settle(first, "0.3"), result("a"), begin("b"), number=2))

    assert said == Verdict(refused={2: "cancelled"})
    run.refresh_from_db()
    assert (run.spent, run.reserved, run.open_calls) == (Decimal("0.3"), 0, 0)
    assert list(Call.objects.values_list("path", flat=True)) == ["a"]
    assert events(run)[-1] == (3, "step.succeeded")


def test_no_call_begins_after_the_deadline() -> None:
    run = driven(deadline=timezone.now())

    assert verdict(record(run, begin())).refused == {0: "deadline"}


def test_calls_of_one_record_share_the_cap() -> None:
    run = driven(cap_cost=Decimal(1), spent=Decimal("0.2"))

    said = verdict(record(run, begin("a", reserve="0.5"), begin("b", reserve="0.4"), begin("c", reserve="0.1")))

    assert said.refused[1] == "cost"
    assert 0 not in said.refused
    run.refresh_from_db()
    assert run.spent + run.reserved <= 1


def test_a_call_that_just_fits_the_cap_begins() -> None:
    run = driven(cap_cost=Decimal(1), spent=Decimal("0.5"))

    assert verdict(record(run, begin(reserve="0.5"))) == Verdict()


def test_events_behind_a_refused_call_are_numbered_without_a_gap() -> None:
    """In one batch with a record of which nothing is refused: each run is numbered by what was refused of its own."""
    run, other = driven(cap_cost=Decimal("0.5"), open_calls=1), driven()
    ops = [
        begin("a", reserve="0.4"),
        begin("b", reserve="0.4"),
        result("c"),
        begin("d", reserve="0"),
        result("e"),
        fate("succeeded"),
    ]

    refused, accepted = write(record(run, *ops), record(other, result("c"), begin("d")))

    assert refused == Verdict(fate="open", refused={1: "cost", 3: "cost"})
    assert accepted == Verdict()
    assert events(run)[1:] == [(2, "step.started"), (3, "step.succeeded"), (4, "step.succeeded")]
    assert events(other)[1:] == [(2, "step.succeeded"), (3, "step.started")]
    run.refresh_from_db()
    assert (run.seq, run.status, run.open_calls, run.reserved) == (4, "running", 2, Decimal("0.4"))
    assert dict(Attempt.objects.filter(run_id=run.id).values_list("path", "seq")) == {"c": 3, "e": 4}
    assert Call.objects.get(run_id=run.id).seq == 2


def test_what_settles_in_the_same_record_makes_room() -> None:
    run = driven(cap_cost=Decimal(1))
    first = begin("a", reserve="0.9")
    verdict(record(run, first))

    assert verdict(record(run, settle(first, "0.1"), begin("b", reserve="0.9"), number=2)) == Verdict()


def test_the_cap_on_tokens_has_its_own_verdict() -> None:
    run = driven(cap_tokens=100)

    assert verdict(record(run, begin("a", tokens=60), begin("b", tokens=60))).refused == {1: "tokens"}


def test_a_run_does_not_end_while_calls_are_open() -> None:
    run = driven()
    first = begin("a")
    verdict(record(run, first))

    assert verdict(record(run, fate("succeeded"), number=2)).fate == "open"
    assert verdict(record(run, settle(first), fate("succeeded"), number=3)) == Verdict()
    run.refresh_from_db()
    assert (run.status, run.owner, run.open_calls, run.reason) == ("succeeded", None, 0, "because")
    assert run.ended_at is not None
    assert events(run)[-1] == (3, "run.ended")


def test_a_cancelled_run_ends_as_cancelled_or_not_at_all() -> None:
    run = driven(cancel_requested=True)

    assert verdict(record(run, fate("succeeded"))).fate == "cancelled"
    assert verdict(record(run, fate("cancelled"), number=2)) == Verdict()
    assert events(run) == [(1, "run.created"), (2, "run.ended")]


def test_a_run_that_was_signalled_does_not_park_unheard() -> None:
    run = driven(signals=2)

    said = verdict(record(run, result("a", "waiting"), fate("waiting"), signals=1))

    assert (said.fate, said.signals) == ("signalled", 2)
    run.refresh_from_db()
    assert run.status == "running"
    assert events(run)[-1] == (2, "step.waiting")
    assert verdict(record(run, fate("waiting"), number=2, signals=2)) == Verdict()
    run.refresh_from_db()
    assert (run.status, run.owner) == ("waiting", None)


def test_handing_a_run_on_is_never_refused() -> None:
    run = driven(signals=2, cancel_requested=True)

    assert verdict(record(run, fate("queued"), signals=2)).fate is None
    run.refresh_from_db()
    assert (run.status, run.owner) == ("queued", None)


def test_a_call_of_which_the_price_is_not_known_is_counted() -> None:
    run = driven()
    first = begin()
    verdict(record(run, first))
    verdict(record(run, settle(first, None), number=2))

    run.refresh_from_db()
    assert (run.unpriced, run.spent) == (1, 0)


def test_a_call_settles_once() -> None:
    run = driven()
    first = begin(reserve="0.5")
    verdict(record(run, first))
    verdict(record(run, settle(first, "0.3"), number=2))
    verdict(record(run, settle(first, "0.3"), number=3))

    run.refresh_from_db()
    assert (run.spent, run.reserved, run.open_calls) == (Decimal("0.3"), 0, 0)


def test_a_waiting_attempt_becomes_what_it_came_to_and_a_success_stays() -> None:
    run = driven()
    verdict(record(run, result("a", "waiting")))
    verdict(record(run, result("a", "succeeded"), number=2))
    verdict(record(run, result("a", "failed"), number=3))

    assert Attempt.objects.get(run_id=run.id).status == "succeeded"


def ask(run: Run, path: str = "p") -> Op:
    about = {"path": path, "kind": "approval", "title": "T", "terms": {}, "payload": json.dumps({"a": 1}), "hash": "h"}
    return {"id": new_id(), "run": run.id, "due": 60, **about}


def test_asking_withdrawing_and_taking_go_with_the_record() -> None:
    run = driven()
    delivery = Delivery.objects.create(run=run, event="paid", payload="1")
    old = make_request(run, path="old")

    verdict(record(run, asks=[ask(run)], withdraws=[{"run": run.id, "path": "old"}], takes=[{"id": delivery.id, "path": "w"}]))

    assert Request.objects.get(path="p").state == "pending"
    assert Request.objects.get(id=old.id).state == "withdrawn"
    assert Delivery.objects.get().taken_by == "w"


def test_each_run_of_a_batch_has_its_own_verdict() -> None:
    runs = [driven(), driven(cap_cost=Decimal("0.1")), driven()]

    said = write(record(runs[0], begin(), epoch=1), record(runs[1], begin(reserve="0.5")), record(runs[2], begin()))

    assert said == [Verdict(fenced=True), Verdict(refused={0: "cost"}), Verdict()]
    assert list(Call.objects.values_list("run_id", flat=True)) == [runs[2].id]


def test_two_records_of_one_run_are_written_one_after_the_other() -> None:
    run = driven()

    assert write(record(run, result("a")), record(run, result("b"), number=2)) == [Verdict(), Verdict()]
    assert events(run) == [(1, "run.created"), (2, "step.succeeded"), (3, "step.succeeded")]


# ---------------------------------------------------------------------- the writer


def too_long() -> Op:
    return result("x" * 500)


def test_a_record_that_postgresql_refuses_fails_alone() -> None:
    runs = [driven() for _ in range(7)]
    records = [record(run, too_long() if n == 4 else result("a")) for n, run in enumerate(runs)]

    said = write(*records)

    assert isinstance(said[4], RecordRefused)
    assert [each for n, each in enumerate(said) if n != 4] == [Verdict()] * 6
    assert Attempt.objects.count() == 6
    runs[4].refresh_from_db()
    assert runs[4].seq == 1


def test_a_record_that_cannot_even_be_written_as_json_fails_alone() -> None:
    runs = [driven() for _ in range(3)]
    records = [record(run, result("a") | ({"error": "bad \ud800"} if n == 1 else {})) for n, run in enumerate(runs)]

    said = write(*records)

    assert isinstance(said[1], RecordRefused)
    assert [said[0], said[2]] == [Verdict()] * 2


def test_a_driver_that_stumbles_over_its_verdict_does_not_stop_the_writer() -> None:
    run = driven()

    async def work(writer: Writer) -> list[Said]:
        def stumbles(_: Said) -> None:
            raise RuntimeError("a fault of ours")

        writer.submit(record(run, result("a")), stumbles)
        return await _written(writer, [record(run, result("b"), number=2)])

    assert writing(work) == [Verdict()]


def end_connections_of(pid: int) -> None:
    with psycopg.connect(dsn(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def pid_of(writer: Writer) -> int:
    assert writer._connection is not None
    return int(writer._connection.info.backend_pid)


def test_a_connection_that_was_lost_before_the_commit_is_opened_again_and_the_record_sent_again() -> None:
    run = driven()

    async def work(writer: Writer) -> list[Said]:
        await _written(writer, [record(run, result("a"))])
        await asyncio.to_thread(end_connections_of, pid_of(writer))
        return await _written(writer, [record(run, result("b"), number=2)])

    assert writing(work) == [Verdict()]
    assert events(run) == [(1, "run.created"), (2, "step.succeeded"), (3, "step.succeeded")]


def lost_after_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commit happens, and its connection is lost before the writer hears of it."""
    commit = Writer._commit
    left = [True]

    async def once(self: Writer, records: list[Record]) -> list[Verdict]:
        said = await commit(self, records)
        if left:
            left.clear()
            await asyncio.to_thread(end_connections_of, pid_of(self))
            assert self._connection is not None
            await self._connection.execute("SELECT 1")
        return said

    monkeypatch.setattr(Writer, "_commit", once)


def test_a_record_that_was_committed_before_the_connection_was_lost_is_not_written_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    run, other = driven(), driven()
    lost_after_commit(monkeypatch)

    said = write(record(run, begin("a", reserve="0.5"), result("b")), record(other, result("c")))

    assert said == [Verdict(), Verdict()]
    assert events(run) == [(1, "run.created"), (2, "step.started"), (3, "step.succeeded")]
    run.refresh_from_db()
    assert (run.reserved, run.open_calls, run.record) == (Decimal("0.5"), 1, 1)


def test_a_call_that_was_refused_before_the_connection_was_lost_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = driven(cap_cost=Decimal(1))
    lost_after_commit(monkeypatch)

    (said,) = write(record(run, begin("a", reserve="0.7"), begin("b", reserve="0.7")))

    assert said == Verdict(refused={1: "again"})


def test_a_run_that_was_reclaimed_while_the_connection_was_lost_is_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    run = driven()
    commit = Writer._commit

    async def lost(self: Writer, records: list[Record]) -> list[Verdict]:
        monkeypatch.setattr(Writer, "_commit", commit)
        with psycopg.connect(dsn(), autocommit=True) as other:
            other.execute("UPDATE flows_run SET epoch = epoch + 1 WHERE id = %s", (run.id,))
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(Writer, "_commit", lost)

    assert verdict(record(run, result("a"))).fenced
    assert events(run) == [(1, "run.created")]


def test_the_writer_waits_for_a_row_that_somebody_has_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    run = driven()
    monkeypatch.setattr("flows.execution.writer.SETTINGS", ("SET lock_timeout = '50ms'",))

    async def work(writer: Writer) -> list[Said]:
        async with await psycopg.AsyncConnection.connect(dsn()) as other:
            await other.execute("SELECT 1 FROM flows_run WHERE id = %s FOR UPDATE", (run.id,))
            waiting = asyncio.create_task(_written(writer, [record(run, result("a"))]))
            await asyncio.wait([waiting], timeout=0.2)
            assert not waiting.done()
            await other.rollback()
            return await waiting

    assert writing(work) == [Verdict()]


@pytest.mark.parametrize(
    "code", ["53100", "53200", "40P01", "57014"], ids=["disk full", "out of memory", "deadlock", "time is up"]
)
def test_what_postgresql_cannot_do_just_now_is_written_once_it_can(code: str) -> None:
    """A sequence counts the refusals, since it does not roll back with them."""
    run, other = driven(), driven()
    with psycopg.connect(dsn(), autocommit=True) as server:
        server.execute(
            f"""
            CREATE SEQUENCE refusals;
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF nextval('refusals') <= 2 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '{code}'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON flows_event FOR EACH STATEMENT EXECUTE FUNCTION refuse()"""
        )
        try:
            said = write(record(run, begin("a", reserve="0.5"), result("b")), record(other, result("c")))
            refused = server.execute("SELECT last_value FROM refusals").fetchone()
        finally:
            server.execute("DROP TRIGGER refuse ON flows_event; DROP FUNCTION refuse(); DROP SEQUENCE refusals")

    assert refused == (3,)
    assert said == [Verdict(), Verdict()]
    assert events(run) == [(1, "run.created"), (2, "step.started"), (3, "step.succeeded")]
    run.refresh_from_db()
    assert (run.reserved, run.open_calls) == (Decimal("0.5"), 1)
