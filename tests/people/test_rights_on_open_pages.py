"""PPL-4: what somebody has open hears of it when what they may do changes. The waits are limits, not measurements."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from flows.access.actions.deactivate_person import deactivate_person
from flows.access.actions.end_sign_in import end_sign_in
from flows.access.actions.grant_role import grant_role
from flows.access.actions.revoke_key import revoke_key
from flows.access.actions.revoke_role import revoke_role
from flows.access.actor import Actor, system
from flows.builder.actions.change_settings import change_settings
from flows.models import ApiKey, Person, SignIn
from flows.runs import live
from orchestrator.asgi import application
from tests.access.test_every_door import cookie_of
from tests.makers import make_flow, make_key, make_person, make_run, make_team
from tests.sockets import Socket

pytestmark = [pytest.mark.django_db(transaction=True)]
CLI = system("test")
PATIENCE = 20  # seconds, far below the period at which a socket looks by itself


@pytest.fixture(autouse=True)
def by_itself_it_never_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RIGHTS_ARE_CHECKED_EVERY", 3600.0)


async def opened(topics: str, person: Person | None = None, secret: str = "") -> Socket:
    headers = [(b"authorization", f"Bearer {secret}".encode())]
    if person is not None:
        headers = [(b"origin", b"http://localhost"), (b"cookie", await sync_to_async(cookie_of)(person))]
    socket = Socket(application, f"/ws/live?topics={topics}", headers)
    assert (await socket.connect())[0]
    first = json.loads((await socket.receive_output(PATIENCE))["text"])  # type: ignore[no-untyped-call]
    assert first["topic"] in (topics, "inbox")
    return socket


async def closing_code(socket: Socket) -> int:
    while True:
        message: dict[str, Any] = await socket.receive_output(PATIENCE)  # type: ignore[no-untyped-call]
        if message["type"] == "websocket.close":
            return int(message["code"])


@pytest.mark.parametrize("change", ["role", "person", "team of the flow"])
async def test_PPL_4_a_socket_closes_when_its_run_may_not_be_seen_any_more(change: str) -> None:
    ours, theirs = await sync_to_async(make_team)("ours"), await sync_to_async(make_team)("theirs")
    person = await sync_to_async(make_person)("viewer", team=ours)
    flow = await sync_to_async(make_flow)("greet", team=ours)
    run = await sync_to_async(make_run)(flow)
    changes: dict[str, Callable[[], Any]] = {
        "role": lambda: revoke_role(CLI, person, "viewer", ours),
        "person": lambda: (make_person("owner"), deactivate_person(CLI, person)),
        "team of the flow": lambda: change_settings(CLI, "greet", {"team": theirs.slug}),
    }
    socket = await opened(f"run:{run.public_id}", person)

    await sync_to_async(changes[change])()

    assert await closing_code(socket) == (live.NOT_SIGNED_IN if change == "person" else live.NOT_VISIBLE)


async def test_a_socket_closes_when_its_key_is_revoked() -> None:
    person = await sync_to_async(make_person)("viewer")
    key, secret = await sync_to_async(make_key)(person, "approvals:read")
    socket = await opened("inbox", secret=secret)

    await sync_to_async(revoke_key)(CLI, await ApiKey.objects.select_related("person").aget(id=key.id))

    assert await closing_code(socket) == live.NOT_SIGNED_IN


async def test_a_socket_closes_when_its_browser_is_signed_out_elsewhere() -> None:
    person = await sync_to_async(make_person)("viewer")
    socket = await opened("inbox", person)

    await sync_to_async(end_sign_in)(Actor(person=person), await SignIn.objects.select_related("person").aget())

    assert await closing_code(socket) == live.NOT_SIGNED_IN


async def test_a_page_that_may_stay_hears_that_something_changed_and_others_hear_nothing() -> None:
    ann, bob = await sync_to_async(make_person)("viewer"), await sync_to_async(make_person)("viewer")
    hers, his = await opened("inbox", ann), await opened("inbox", bob)

    await sync_to_async(grant_role)(CLI, ann, "builder")
    told = json.loads((await hers.receive_output(PATIENCE))["text"])  # type: ignore[no-untyped-call]
    await sync_to_async(grant_role)(CLI, bob, "operator")
    heard = [json.loads((await his.receive_output(PATIENCE))["text"])]  # type: ignore[no-untyped-call]

    assert told == {"topic": "rights", "data": {"type": "changed"}}
    assert heard == [told]
    assert await his.receive_nothing(0.3)
    await hers.disconnect()
    await his.disconnect()
