"""The pages of tools and connections: what they show, trying a tool, and taking in what a server has changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flows.engine.canonical import sha256_of
from flows.models import MCPServer, Run, ToolEntry
from tests.engine.flows import source_of
from tests.makers import make_flow, make_person

pytestmark = pytest.mark.django_db

LOOKUP = {"type": "object", "required": ["page"], "properties": {"page": {"type": "integer"}}, "additionalProperties": False}


def signed_in(*roles: str) -> Client:
    client = Client()
    client.force_login(make_person(*roles))
    return client


def make_tool(slug: str = "look.up", **fields: Any) -> ToolEntry:
    return ToolEntry.objects.create(
        **{"slug": slug, "kind": "python", "effect": "read", "repeat": "freely", "arguments": LOOKUP, **fields}
    )


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content.decode()[:1000]
    return answer.content.decode()


def test_the_list_says_what_each_does_takes_and_who_uses_it() -> None:
    make_tool(description="Looks up a page.")
    make_tool("pay.out", effect="write", repeat="never")
    agent = {"kind": "agent", "with": {"route": "r", "prompt": "p", "tools": ["look.up", {"tool": "pay.out", "leash": "ask"}]}}
    make_flow("asks", document=source_of({"work": agent}, ["start -> work"]))

    page = text_of(signed_in("viewer"), "/tools")

    assert "Looks up a page." in page
    assert "Changes the world" in page
    assert "not reversible" in page
    assert "Never repeated" in page
    assert sha256_of(LOOKUP)[:12] in page
    assert page.count("/flows/asks") == 2
    assert "(ask)" in page


def test_the_list_takes_as_many_queries_for_many_tools() -> None:
    client = signed_in("viewer")
    make_tool()
    text_of(client, "/tools")
    with CaptureQueriesContext(connection) as before:
        text_of(client, "/tools")
    for number in range(30):
        make_tool(f"tool.{number}")

    with CaptureQueriesContext(connection) as after:
        text_of(client, "/tools")

    assert len(after) == len(before)


def test_trying_one_that_reads_is_a_run_of_its_own() -> None:
    make_tool()
    client = signed_in("builder")

    answer = client.post("/tools/look.up", {"act": "try", "arguments": '{"page": 7}', "really": "yes"})

    run = Run.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/runs/{run.public_id}"
    assert (run.purpose, json.loads(run.input)) == ("test", {"arguments": {"page": 7}})
    assert not (run.handling or {}).get("dry")


def test_one_that_writes_is_only_written_down_unless_an_owner_really_sends_it() -> None:
    make_tool("pay.out", effect="write", repeat="keyed")
    builder, owner = signed_in("builder"), signed_in("owner")

    builder.post("/tools/pay.out", {"act": "try", "arguments": '{"page": 7}'})
    refused = builder.post("/tools/pay.out", {"act": "try", "arguments": '{"page": 7}', "really": "yes"})
    owner.post("/tools/pay.out", {"act": "try", "arguments": '{"page": 7}', "really": "yes"})

    assert refused.status_code == 403
    assert [bool((run.handling or {}).get("dry")) for run in Run.objects.order_by("number")] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "said"), [("{", "are no JSON"), ('{"page": "x"}', "arguments.page"), ("[]", "must be a JSON object")]
)
def test_wrong_arguments_are_said_and_kept(arguments: str, said: str) -> None:
    make_tool()

    answer = signed_in("builder").post("/tools/look.up", {"act": "try", "arguments": arguments})

    assert answer.status_code == 400
    page = answer.content.decode()
    assert said in page
    assert f">{arguments.replace(chr(34), '&quot;')}</textarea>" in page
    assert not Run.objects.exists()


def test_what_a_server_has_changed_is_shown_as_text_and_an_owner_takes_it_in() -> None:
    MCPServer.objects.create(slug="far", command=["/nowhere/at-all"])
    changed = {"name": "look", "description": "<script>alert(1)</script>", "arguments": LOOKUP}
    settings = {"server": {"slug": "far", "command": ["/nowhere/at-all"]}, "tool": "look", "pinned": "a", "found": "b"}
    make_tool("far.look", kind="mcp", settings={**settings, "changed": changed})
    owner = signed_in("owner")

    page = text_of(owner, "/tools/far.look")
    refused = signed_in("builder").post("/tools/far.look", {"act": "accept"})
    owner.post("/tools/far.look", {"act": "accept"})

    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert "changed at its server" in text_of(owner, "/tools") or ToolEntry.objects.get().settings["changed"] is None
    assert refused.status_code == 403
    assert ToolEntry.objects.get().settings["pinned"] == "b"


def test_CON_4_check_now_reports_the_result_and_the_time() -> None:
    MCPServer.objects.create(slug="far", command=["/nowhere/at-all", "--token=c0ffee"])
    owner = signed_in("owner")

    page = owner.post("/connections/far/check").content.decode()

    assert "cannot be reached" in page
    assert "<time" in page
    assert "c0ffee" not in page
    assert signed_in("builder").get("/connections").status_code == 403
