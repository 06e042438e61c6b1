"""The socket: everything once, in order, for those who may see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from django.test import Client

from flows.access.rights import holdings_of
from flows.execution.doorbells import INBOX, inbox_changed, run_group
from flows.models import Call, Run
from flows.models.identifiers import new_id, shown
from flows.runs import feeds, live
from orchestrator.asgi import application
from tests.makers import add_events, make_flow, make_key, make_person, make_run, make_team
from tests.sockets import Socket

pytestmark = pytest.mark.django_db(transaction=True)

in_database = sync_to_async


def socket(path: str, secret: str | None, *headers: tuple[bytes, bytes]) -> Socket:
    key = [(b"authorization", f"Bearer {secret}".encode())] if secret else []
    return Socket(application, f"/ws/live{path}", [*key, *headers])


@in_database
def viewer_and_run(events: int = 3, **fields: Any) -> tuple[str, Run]:
    _, secret = make_key(make_person("viewer"), "runs:read", "approvals:read")
    return secret, make_run(status="running", events=events, owner=new_id(), **fields)


async def ring(run: Run, seq: int = 0) -> None:
    layer = get_channel_layer()
    assert layer is not None
    await layer.group_send(run_group(run.id), {"type": "doorbell", "run": run.id.hex, "seq": seq})


async def frames(connection: Socket, count: int) -> list[dict[str, Any]]:
    return [json.loads(await connection.receive_from(timeout=30)) for _ in range(count)]


async def test_it_replays_what_was_and_follows_what_comes() -> None:
    secret, run = await viewer_and_run(events=5)
    connection = socket(f"?topics=run:{run.public_id}&after=2", secret)
    assert (await connection.connect())[0]

    assert [frame["seq"] for frame in await frames(connection, 3)] == [3, 4, 5]
    for known in (True, False, True, False):
        await in_database(add_events)(run, 2)
        await ring(run, run.seq if known else 0)  # the engine does not say how far it is
        await ring(run)
    received = await frames(connection, 8)

    assert [frame["seq"] for frame in received] == list(range(6, 14))
    assert received[0]["topic"] == f"run:{run.public_id}"
    assert received[0]["data"] | {"at": ""} == {"type": "step.done", "path": "", "pass": 1, "at": "", "data": {"n": 6}}
    assert await connection.receive_nothing(0.3)
    await connection.disconnect()


async def test_two_sockets_share_what_is_read_and_miss_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = 0
    rows = feeds.Reader.rows

    async def counted(self: feeds.Reader, query: str, *values: Any) -> list[Any]:
        nonlocal reads
        reads += query == feeds.EVENTS
        return await rows(self, query, *values)

    monkeypatch.setattr(feeds.Reader, "rows", counted)
    secret, run = await viewer_and_run(events=3)
    sockets = [socket(f"?topics=run:{run.public_id}&after={after}", secret) for after in (0, 3, 1, 2, 3, 0)]
    for connection in sockets:
        await connection.connect()
    for connection, expected in zip(sockets, (3, 0, 2, 1, 0, 3), strict=True):
        await frames(connection, expected)
    before = reads
    await in_database(add_events)(run, 40)
    await ring(run)

    for connection in sockets:
        assert [frame["seq"] for frame in await frames(connection, 40)] == list(range(4, 44))
        await connection.disconnect()
    assert reads - before <= 4


async def test_a_lost_doorbell_is_made_up_for_by_the_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "POLL", 0.3)
    secret, run = await viewer_and_run(events=1)
    connection = socket(f"?topics=run:{run.public_id}&after=1", secret)
    await connection.connect()

    await in_database(add_events)(run, 1)

    assert [frame["seq"] for frame in await frames(connection, 1)] == [2]
    await connection.disconnect()


async def test_a_run_of_more_events_than_a_page_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "PAGE", 7)
    monkeypatch.setattr(feeds, "KEPT", 5)
    secret, run = await viewer_and_run(events=30)
    connection = socket(f"?topics=run:{run.public_id}", secret)
    await connection.connect()

    assert [frame["seq"] for frame in await frames(connection, 30)] == list(range(1, 31))
    await connection.disconnect()


async def test_text_in_progress_comes_from_its_beginning_and_once() -> None:
    secret, run = await viewer_and_run(events=1)
    call = await in_database(Call.objects.create)(
        run=run, pass_number=1, path="draft", attempt=1, n=1, epoch=1, seq=1, status="started", kind="model", target="small-1",
        repeat="freely", idempotency_key=new_id(),
    )  # fmt: skip
    redis.Redis.from_url(django_settings.REDIS_ADDRESS).set(f"text:{call.id.hex}", "Hello wo", ex=60)
    connection = socket(f"?topics=run:{run.public_id}&after=1", secret)
    await connection.connect()

    assert (await frames(connection, 1))[0]["data"] == {
        "type": "text",
        "path": "draft",
        "call": shown("call", call.id),
        "text": "Hello wo",
        "at": 0,
    }
    layer = get_channel_layer()
    assert layer is not None
    piece = {"type": "text", "run": run.id.hex, "path": "draft", "call": shown("call", call.id)}
    await layer.group_send(run_group(run.id), piece | {"text": " wo", "at": 5})
    await layer.group_send(run_group(run.id), piece | {"text": "rld", "at": 8})

    frame = (await frames(connection, 1))[0]
    assert (frame["data"]["text"], frame["data"]["at"]) == ("rld", 8)
    assert "seq" not in frame
    await connection.disconnect()


async def test_the_inbox_is_a_doorbell() -> None:
    secret, _ = await viewer_and_run()
    connection = socket(f"?topics={INBOX}", secret)
    await connection.connect()

    assert len(await frames(connection, 1)) == 1  # for what came before the subscription
    inbox_changed()

    assert (await frames(connection, 1)) == [{"topic": "inbox", "data": {"type": "changed"}}]
    await connection.disconnect()


async def closing_code(connection: Socket) -> int:
    connected, code = await connection.connect()
    if not connected:
        return int(code or 0)
    message = await connection.receive_output(timeout=3)
    assert message["type"] == "websocket.close"
    return int(message["code"])


async def test_who_may_not_see_it_is_turned_away() -> None:
    secret, run = await viewer_and_run()
    hidden = await in_database(lambda: make_run(make_flow(team=make_team())))()
    weak = (await in_database(lambda: make_key(make_person("viewer"), "flows:read"))())[1]
    outsider = (await in_database(lambda: make_key(make_person("operator", team=make_team()), "admin"))())[1]

    assert await closing_code(socket(f"?topics=run:{run.public_id}", "ork_nonsense")) == live.NOT_SIGNED_IN
    assert await closing_code(socket(f"?topics=run:{run.public_id}", weak)) == live.NOT_VISIBLE
    assert await closing_code(socket(f"?topics=run:{hidden.public_id}", outsider)) == live.NOT_VISIBLE
    for wrong in (
        "",
        "?topics=run:x",
        "?topics=moon",
        f"?topics=run:{run.public_id}&after=x",
        f"?topics=run:{run.public_id}&after=-1",
    ):
        assert await closing_code(socket(wrong, secret)) == live.BAD_ADDRESS


async def test_a_page_needs_its_own_origin_and_its_session() -> None:
    _, run = await viewer_and_run(events=1)
    client = Client()
    await in_database(lambda: client.force_login(make_person("viewer")))()
    cookie = (
        b"cookie",
        f"{django_settings.SESSION_COOKIE_NAME}={client.cookies[django_settings.SESSION_COOKIE_NAME].value}".encode(),
    )
    path = f"?topics=run:{run.public_id}"

    forged = socket(path, None, cookie, (b"origin", b"https://evil.example"))
    assert not (await forged.connect())[0]
    assert await closing_code(socket(path, None, (b"origin", b"http://localhost"))) == live.NOT_SIGNED_IN
    good = socket(path, None, cookie, (b"origin", b"http://localhost"))
    assert (await good.connect())[0]
    assert len(await frames(good, 1)) == 1
    await good.disconnect()


async def test_a_change_between_page_and_socket_is_told_once() -> None:
    person = await in_database(lambda: make_person("viewer"))()
    secret = (await in_database(lambda: make_key(person, "runs:read", "approvals:read"))())[1]
    rendered_for = await in_database(lambda: holdings_of(person).mark)()
    same = socket(f"?topics=inbox&rights={rendered_for}", secret)
    await same.connect()
    assert [each["topic"] for each in await frames(same, 1)] == ["inbox"]
    assert await same.receive_nothing(timeout=0.3)
    await same.disconnect()

    await in_database(lambda: person.memberships.create(role="auditor"))()
    late = socket(f"?topics=inbox&rights={rendered_for}", secret)
    await late.connect()

    assert [each["topic"] for each in await frames(late, 2)] == ["inbox", "rights"]
    assert await late.receive_nothing(timeout=0.3)
    await late.disconnect()


async def test_rights_that_end_close_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RIGHTS_ARE_CHECKED_EVERY", 0.2)
    _, run = await viewer_and_run(events=1)
    person = await in_database(lambda: make_person("viewer"))()
    secret = (await in_database(lambda: make_key(person, "runs:read"))())[1]
    connection = socket(f"?topics=run:{run.public_id}", secret)
    await connection.connect()
    await frames(connection, 1)

    await in_database(lambda: person.memberships.all().delete())()

    assert (await connection.receive_output(timeout=3))["code"] == live.NOT_VISIBLE
    await connection.disconnect()
