"""How much work a run is for its engine, counted: what a step costs is what decides how many a second there can be."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from flows.execution import worker
from flows.execution.driving.driver import Driver
from flows.models import Run
from flows.runs.actions.start_run import start_run
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import finish, start, tool
from tests.makers import make_actor

STEPS = 10


async def _nothing() -> None:
    return None


@pytest.fixture
def chain(add_tool: AddTool) -> tuple[dict[str, Any], list[str]]:
    """Ten calls of a tool that does nothing, one after another."""
    add_tool("test.nothing", _nothing)
    keys = [f"s{n}" for n in range(STEPS)]
    return {key: tool("test.nothing") for key in keys}, ["start -> s0", *(f"{a} -> {b}" for a, b in pairwise(keys))]


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The runs that had a turn of the loop to be planned in, once for each."""
    counted: list[Any] = []
    turn = Driver._turn

    def counting(driver: Driver) -> None:
        counted.append(driver.run.id)
        turn(driver)

    monkeypatch.setattr(Driver, "_turn", counting)
    return counted


def test_a_chain_is_one_record_more_than_it_has_steps(drive: Drive, chain: tuple[dict[str, Any], list[str]]) -> None:
    """The result of a step and the intent of the next are one commit: nothing else is written on the way."""
    run = start(*chain)
    engine = drive()

    finish(run)

    assert (engine.writer.records, engine.writer.batches) == (STEPS + 1, STEPS + 1)


def test_a_chain_has_one_turn_a_record(drive: Drive, chain: tuple[dict[str, Any], list[str]], turns: list[Any]) -> None:
    """What only has to be sent is not planned for, and a verdict that changes nothing neither."""
    run = start(*chain)
    drive()

    finish(run)

    assert turns == [run.id] * (STEPS + 1)


def test_runs_that_go_on_together_share_their_records_statements(drive: Drive, chain: tuple[dict[str, Any], list[str]]) -> None:
    runs = [start(*chain)]
    flow = Run.objects.select_related("flow").get(id=runs[0].id).flow
    runs += [start_run(make_actor("operator"), flow.slug, None) for _ in range(19)]
    engine = drive()

    for run in runs:
        finish(run)

    assert engine.writer.records == len(runs) * (STEPS + 1)
    assert engine.writer.batches <= engine.writer.records / 4


def test_runs_that_end_together_make_room_for_one_claim(
    drive: Drive, chain: tuple[dict[str, Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim for each run that ended would cost the database more than the run's own records."""
    monkeypatch.setattr(worker, "GATHERS", 1.0)
    runs = [start(*chain)]
    flow = Run.objects.select_related("flow").get(id=runs[0].id).flow
    runs += [start_run(make_actor("operator"), flow.slug, None) for _ in range(23)]
    engine = drive(capacity=8)

    for run in runs:
        finish(run)

    assert engine._claims <= len(runs) / 4


def test_an_engine_knows_what_a_new_flow_names_without_waiting_for_its_next_look(
    drive: Drive, add_tool: AddTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(engine: worker.Engine) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(worker.Engine, "_renew", never)
    drive()
    add_tool("test.new", _nothing)

    assert finish(start({"s": tool("test.new")}, ["start -> s"])).status == "succeeded"
