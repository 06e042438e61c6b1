"""The pages of tools and connections: what they show, trying a tool, and taking in what a server has changed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.actions.save_policy import save_policy
from flows.access.actions.put_secret import put_secret
from flows.engine.canonical import sha256_of
from flows.models import AuditRow, Connection, Flow, MCPServer, Run, ToolEntry
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow, make_person

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


# ---------------------------------------------------------------------- connections, and what a tool counts as


def make_connection(slug: str = "shop", **fields: Any) -> Connection:
    settings = {"host": "db.example.com", "port": 5432, "database": "shop", "user": "", "tls": "prefer"}
    return Connection.objects.create(**{"slug": slug, "kind": "postgresql", "settings": settings, **fields})


def calls_the(tool: str, slug: str = "reader") -> None:
    make_flow(slug, document=source_of({"a": {"kind": "tool", "with": {"tool": tool, "arguments": {"page": 1}}}}, ["start -> a"]))


FORM = {"act": "save", "name": "shop", "kind": "postgresql", "label": "EU shop", "host": "db.example.com", "database": "shop"}


def test_a_connection_is_made_changed_and_shown_without_its_password() -> None:
    owner = signed_in("owner")
    put_secret(make_actor("owner"), "SHOP_PASSWORD", "a long password", [])

    owner.post("/connections", {**FORM, "secret": "SHOP_PASSWORD", "expires_on": "2031-03-31"})
    owner.post("/connections", {**FORM, "secret": "SHOP_PASSWORD", "port": "6432"})

    row = Connection.objects.get()
    assert (row.label, row.secret, row.expires_on, row.settings["port"]) == ("EU shop", "SHOP_PASSWORD", None, 6432)
    page = text_of(owner, "/connections")
    assert "db.example.com:6432" in page
    assert "a long password" not in page
    assert list(AuditRow.objects.filter(action__startswith="connection.").values_list("action", flat=True)) == [
        "connection.create",
        "connection.change",
    ]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("kind", "oracle", "there is no kind of connection"),
        ("port", "99999", "port"),
        ("host", "http://db/", "host"),
        ("database", "", "database"),
        ("expires_on", "soon", "is no day"),
        ("name", "Shop!", "is no name"),
    ],
)
def test_what_is_wrong_with_a_connection_is_said_and_what_was_typed_stays(field: str, value: str, said: str) -> None:
    answer = signed_in("owner").post("/connections", {**FORM, field: value})

    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert 'value="EU shop"' in answer.content.decode()
    assert not Connection.objects.exists()


def test_CON_3_a_used_connection_lists_tools_and_flows_and_is_refused_until_it_is_replaced() -> None:
    make_connection()
    make_connection("other")
    tool = make_tool("shop.find", kind="sql", settings={"connection": "shop", "query": "SELECT 1"})
    calls_the("shop.find")
    owner = signed_in("owner")

    refused = owner.post("/connections", {"act": "remove", "name": "shop"})
    tool.settings["connection"] = "other"
    tool.save()
    done = owner.post("/connections", {"act": "remove", "name": "shop"})

    assert refused.status_code == 400
    assert "shop is used by shop.find. They are called by flow reader v1." in refused.content.decode()
    assert done.status_code == 302
    assert [each.slug for each in Connection.objects.all()] == ["other"]


def test_CON_3_a_server_goes_with_its_tools_once_no_flow_calls_them() -> None:
    MCPServer.objects.create(slug="far", command=["/nowhere/at-all"])
    settings = {"server": {"slug": "far", "command": ["/nowhere/at-all"]}, "tool": "look", "pinned": "a", "found": "a"}
    make_tool("far.look", kind="mcp", settings=settings)
    calls_the("far.look")
    owner = signed_in("owner")

    refused = owner.post("/connections", {"act": "remove", "name": "far"})
    Flow.objects.update(published=None)
    owner.post("/connections", {"act": "remove", "name": "far"})

    assert "far is used by far.look. They are called by flow reader v1." in refused.content.decode()
    assert not MCPServer.objects.exists()
    assert not ToolEntry.objects.exists()


def test_CON_2_what_expires_within_a_week_stands_on_the_home_page_of_owners() -> None:
    today = timezone.localdate()
    make_connection("soon", expires_on=today + timedelta(days=6))
    make_connection("over", expires_on=today - timedelta(days=1))
    make_connection("later", expires_on=today + timedelta(days=8))
    MCPServer.objects.create(slug="far", url="https://far.example.com/mcp", expires_on=today)

    page = text_of(signed_in("owner"), "/")

    assert "The connection soon expires in 6 days" in page
    assert "The connection over expired on" in page
    assert "The connection far expires today" in page
    assert "connection later" not in page
    assert 'data-testid="expiring"' not in text_of(signed_in("builder"), "/")


TERMS = {"act": "terms", "repeat": "never", "timeout": "12.5", "trusted": "no", "description": "Looks up a page."}


def test_CON_5_another_effect_says_first_which_policies_and_agents_it_bears_on() -> None:
    make_tool("pay.out", effect="write", repeat="never")
    agent = {"kind": "agent", "with": {"route": "r", "prompt": "p", "tools": ["pay.out"]}}
    make_flow("asks", document=source_of({"work": agent}, ["start -> work"]))
    make_person("approver", username="ann")
    save_policy(make_actor("owner"), "refunds", "Refunds over 250", {"tools": ["pay.*"], "people": ["ann"]})
    owner = signed_in("owner")

    warned = owner.post("/tools/pay.out", {**TERMS, "effect": "read"})
    unchanged = ToolEntry.objects.get().effect
    owner.post("/tools/pay.out", {**TERMS, "effect": "read", "sure": "read"})

    page = warned.content.decode()
    assert unchanged == "write"
    assert "Refunds over 250" in page
    assert "it would not ask any more" in page
    assert 'value="12.5"' in page
    entry = ToolEntry.objects.get()
    assert (entry.effect, entry.repeat, entry.timeout, entry.trusted) == ("read", "never", 12.5, False)
    assert AuditRow.objects.filter(action="tool.change", subject="pay.out").exists()


def test_what_an_MCP_tool_counts_as_is_changed_and_what_was_pinned_stays() -> None:
    settings = {"server": {"slug": "far", "command": ["/nowhere/at-all"]}, "tool": "look", "pinned": "a", "found": "a"}
    make_tool("far.look", kind="mcp", effect="write", repeat="never", settings=settings)
    owner = signed_in("owner")

    owner.post("/tools/far.look", {**TERMS, "effect": "read", "repeat": "freely"})
    refused = owner.post("/tools/far.look", {**TERMS, "effect": "read", "repeat": "keyed"})

    entry = ToolEntry.objects.get()
    assert (entry.effect, entry.repeat, entry.settings) == ("read", "freely", settings)
    assert "sends no key" in refused.content.decode()
    assert signed_in("builder").post("/tools/far.look", {**TERMS, "effect": "write"}).status_code == 403


def test_a_tool_that_a_flow_calls_is_not_removed() -> None:
    make_tool()
    calls_the("look.up")
    owner = signed_in("owner")

    refused = owner.post("/tools/look.up", {"act": "remove"})
    Flow.objects.update(published=None)
    owner.post("/tools/look.up", {"act": "remove"})

    assert "look.up is called by flow reader v1" in refused.content.decode()
    assert not ToolEntry.objects.exists()
