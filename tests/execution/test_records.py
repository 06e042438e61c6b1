"""What stands together in one record of a run, so that a worker that dies after it leaves no half."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from flows.execution.journal import Record
from flows.execution.writer import Writer
from tests.engine.course import each
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import finish, start, tool

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_call_settles_in_the_record_of_its_steps_result(
    drive: Drive, add_tool: AddTool, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Record] = []
    submit, chance = Writer.submit, random.Random(1)

    def noted(writer: Writer, record: Record, heard: Any) -> None:
        records.append(record)
        submit(writer, record, heard)

    async def some_turns_of_the_loop() -> int:
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        return 1

    monkeypatch.setattr(Writer, "submit", noted)
    add_tool("test.turns", some_turns_of_the_loop)
    drive()

    run = finish(
        start({"m": each(str(list(range(200))), {"t": tool("test.turns")}, ["start -> t"], concurrency=50)}, ["start -> m"])
    )

    assert run.status == "succeeded"
    for record in records:
        settled = {op["path"] for op in record.ops if op["op"] == "settle"}
        assert settled <= {op["path"] for op in record.ops if op["op"] == "result"}
