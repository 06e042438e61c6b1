"""The kind `chat`: a message to an incoming webhook whose address is a secret that is granted to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flows.access.actions.put_secret import put_secret, using
from flows.models import AllowedHost, Secret, ToolEntry
from flows.tools.chat import ChatTool
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, error_of, finish, start, tool
from tests.execution.test_secrets import everything_stored
from tests.makers import make_actor
from tests.servers.effect_server import EffectServer
from tests.servers.loopback import running

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chat(transactional_db: None) -> Iterator[EffectServer]:
    with running(EffectServer()) as server:
        AllowedHost.objects.create(host=server.host)
        ToolEntry.objects.create(
            slug="team.tell",
            kind="chat",
            effect="write",
            repeat="never",
            arguments=dict(ChatTool.arguments),
            settings={"url_secret": "TEAM_CHAT"},
        )
        yield server


def said(text: str) -> Any:
    return finish(start({"a": tool("team.tell", {"text": text})}, ["start -> a"]), within=30)


def test_a_message_arrives_with_nothing_that_calls_or_links(chat: EffectServer, drive: Drive) -> None:
    put_secret(make_actor("owner"), "TEAM_CHAT", f"{chat.base}/echo/token-1234", ["team.tell"])
    drive()

    run = said("Paid <!channel> <https://evil.example|here> & more")

    assert run.status == "succeeded"
    (asked,) = chat.asked
    assert (asked["path"], asked["body"]) == (
        "/echo/token-1234",
        {"text": "Paid &lt;!channel&gt; &lt;https://evil.example|here&gt; &amp; more"},
    )
    (call,) = calls_of(run)
    assert "token-1234" not in (call.request or "")
    assert f"{chat.base}/echo/token-1234" not in everything_stored()
    assert using("TEAM_CHAT") == ["team.tell"]


@pytest.mark.parametrize(
    ("value", "granted", "why"), [("not an address", True, "holds no http"), ("http://x.example/abc", False, "is not granted")]
)
def test_without_an_address_that_it_may_use_nothing_is_sent(
    chat: EffectServer,
    drive: Drive,
    value: str,
    granted: bool,
    why: str,
) -> None:
    put_secret(make_actor("owner"), "TEAM_CHAT", value, ["team.tell"] if granted else [])
    drive()

    run = said("Hello")

    assert (run.status, error_of(run)["class"]) == ("failed", "bad_key")
    assert why in error_of(run)["message"]
    assert chat.asked == []
    assert Secret.objects.count() == 1
