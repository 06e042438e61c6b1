"""The doorbell of a list of runs."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async

from flows.models import Run
from flows.runs import feeds
from tests.makers import make_key, make_person, make_run
from tests.runs.test_live import frames, socket

pytestmark = pytest.mark.django_db(transaction=True)

in_database = sync_to_async


async def test_it_rings_when_a_run_begins_goes_on_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LIST_POLL", 0.05)
    _, secret = await in_database(make_key)(await in_database(make_person)("viewer"), "runs:read")
    run = await in_database(make_run)(status="running")
    connection = socket("?topics=runs", secret)
    assert (await connection.connect())[0]
    assert await frames(connection, 1) == [{"topic": "runs", "data": {"type": "changed"}}]
    assert await connection.receive_nothing(0.3)

    await in_database(make_run)(status="queued")
    await frames(connection, 1)
    await in_database(Run.objects.filter(id=run.id).update)(seq=9)
    await frames(connection, 1)
    await in_database(Run.objects.filter(id=run.id).update)(status="waiting")

    assert await connection.receive_nothing(0.3)  # a state never changes without an event
    await connection.disconnect()
    assert not feeds.feeds().list.watched


async def test_it_needs_the_right_to_see_runs() -> None:
    _, secret = await in_database(make_key)(await in_database(make_person)("viewer"), "costs:read")
    connection = socket("?topics=runs", secret)
    await connection.connect()

    message = await connection.receive_output(5)

    assert (message["type"], message["code"]) == ("websocket.close", 4404)
