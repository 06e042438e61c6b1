"""Secrets of tools: encrypted at rest, sent where they are granted, and found nowhere else (CON-1)."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client

from flows.access.actions.put_secret import InUse, put_secret, remove_secret, reseal
from flows.access.refusals import Forbidden, Invalid
from flows.access.vault import Unreadable, seal, unseal
from flows.models import AllowedHost, AuditRow, Secret, ToolEntry
from tests.execution.conftest import Drive
from tests.execution.runs import error_of, finish, start, tool
from tests.makers import make_actor, make_person
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import Asked, Connection, running

VALUE = "canary-4f1c/9+value"


@dataclass
class ListeningServer(EffectServer):
    """Also keeps the key that each request brought."""

    keys: list[str | None] = field(default_factory=list)

    async def handle(self, asked: Asked, connection: Connection, behave: dict[str, Any]) -> None:
        self.keys.append(asked.headers.get("x-key"))
        await super().handle(asked, connection, behave)


@pytest.fixture
def server(transactional_db: None) -> Iterator[ListeningServer]:
    with running(ListeningServer()) as server:
        AllowedHost.objects.create(host=f"127.0.0.1:{server.port}")
        url = f"http://127.0.0.1:{server.port}/echo"
        settings: dict[str, Any] = {"url": url, "header_secret": {"X-Key": "ECHO_KEY"}}
        ToolEntry.objects.create(slug="fx.echo", kind="http", effect="read", repeat="freely", settings=settings)
        yield server


def everything_stored() -> str:
    """The text of every row of every table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [row[0] for row in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def _whole(answer: Any) -> str:
    assert answer.status_code == 200, answer

    async def read() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return (async_to_sync(read)() if answer.streaming else answer.content).decode()


def test_CON_1_a_secret_is_sent_and_found_nowhere(
    drive: Drive, server: ListeningServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put_secret(make_actor("owner"), "ECHO_KEY", VALUE, ["fx.echo"])
    drive()

    run = finish(start({"a": tool("fx.echo")}, ["start -> a"], output="{{ steps.a.output }}"))

    assert run.status == "succeeded", run.error
    assert server.keys == [VALUE]
    client = Client()
    client.force_login(make_person("owner"))
    pages = "".join(client.get(f"/{page}").content.decode() for page in ("secrets", "tools/fx.echo", f"runs/{run.public_id}"))
    assert "ECHO_KEY" in pages
    exports = "".join(_whole(client.get(f"/{address}")) for address in ("runs/export.json", f"runs/{run.public_id}/events.jsonl"))
    api = "".join(
        _whole(client.get(f"/api/v1/{address}")) for address in ("secrets", "tools/fx.echo", f"runs/{run.public_id}/calls")
    )
    assert run.public_id in exports
    assert "ECHO_KEY" in api
    everywhere = everything_stored() + pages + exports + api + caplog.text
    assert VALUE not in everywhere
    assert base64.b64encode(VALUE.encode()).decode() not in everywhere


def test_a_tool_gets_only_what_it_is_granted(drive: Drive, server: ListeningServer) -> None:
    put_secret(make_actor("owner"), "ECHO_KEY", VALUE, [])
    drive()

    run = finish(start({"a": tool("fx.echo")}, ["start -> a"]))

    assert error_of(run)["class"] == "bad_key"
    assert "is not granted to it" in error_of(run)["message"]
    assert server.keys == []


def test_a_key_is_rotated_and_a_moved_secret_cannot_be_read(transactional_db: None, settings: Any) -> None:
    owner = make_actor("owner")
    put_secret(owner, "ECHO_KEY", VALUE, [])
    before = Secret.objects.get()
    former, settings.SECRET_KEY = settings.SECRET_KEY, "another-signing-key-for-this-test"
    with pytest.raises(Unreadable):
        unseal("ECHO_KEY", before.sealed, before.key_id)
    settings.SECRET_KEY_FALLBACKS = [former]

    assert unseal("ECHO_KEY", before.sealed, before.key_id) == VALUE
    assert (reseal(owner), reseal(owner)) == (1, 0)

    settings.SECRET_KEY_FALLBACKS = []
    after = Secret.objects.get()
    assert unseal("ECHO_KEY", after.sealed, after.key_id) == VALUE
    with pytest.raises(Unreadable):
        unseal("OTHER_KEY", *seal("ECHO_KEY", VALUE))


def test_only_owners_write_secrets_and_the_audit_log_names_them_without_their_value(transactional_db: None) -> None:
    with pytest.raises(Forbidden):
        put_secret(make_actor("builder"), "ECHO_KEY", VALUE, [])
    with pytest.raises(Invalid):
        put_secret(make_actor("owner"), "echo key", "short", ["no.tool"])

    put_secret(make_actor("owner"), "ECHO_KEY", VALUE, [])

    assert AuditRow.objects.get(action="secret.create").subject == "ECHO_KEY"


def test_CON_3_a_secret_that_a_tool_uses_is_not_removed(server: ListeningServer) -> None:
    owner = make_actor("owner")
    put_secret(owner, "ECHO_KEY", VALUE, ["fx.echo"])

    with pytest.raises(InUse, match=r"used by fx\.echo"):
        remove_secret(owner, "ECHO_KEY")

    ToolEntry.objects.all().delete()
    remove_secret(owner, "ECHO_KEY")
    assert not Secret.objects.exists()
