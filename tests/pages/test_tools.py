"""The pages of tools and connections: what they show, trying a tool, and taking in what a server has changed."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.actions.save_policy import save_policy
from flows.access.actions.put_secret import put_secret
from flows.access.refusals import Invalid
from flows.engine.canonical import sha256_of
from flows.models import AuditRow, Connection, Flow, MCPServer, Run, ToolEntry
from flows.runs.actions.put_connection import put_connection
from flows.runs.toolbox.entries import ConnectionPart
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


def make_policy(slug: str = "refunds") -> None:
    make_person("approver", username="ann")
    save_policy(make_actor("owner"), slug, "Refunds over 250", {"people": ["ann"]})


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


# ---------------------------------------------------------------------- a tool from nothing

PAGE = '{"type": "object", "required": ["page"], "properties": {"page": {"type": "integer"}}}'
NEW: dict[str, dict[str, Any]] = {
    "http": {
        "method": "POST",
        "url": "https://shop.example.com/orders/{order}",
        "headers": "Accept: application/json",
        "header_secret": "Authorization: SHOP_KEY",
        "query": "dry, page",
        "body": '{"lines": "{{ arguments.lines }}"}',
        "gives": "{{ answer.id }}",
        "expected": "200, 201",
        "response": "json",
        "idempotency_header": "Idempotency-Key",
        "repeat": "keyed",
        "known_for": "1d",
        "effect": "write",
        "arguments": PAGE,
        "result": '{"type": "string"}',
        "policy": "refunds",
        "max_in_flight": "5",
        "timeout": "20s",
        "reversible": "on",
        "trusted": "yes",
    },
    "python": {"function": "text.statistics", "effect": "read"},
    "flow": {"flow": "asks", "effect": "read"},
    "sql": {"connection": "shop", "query": "SELECT %(page)s", "rows": "5", "effect": "read", "arguments": PAGE},
    "mail": {"connection": "letters", "sender": "us@example.com", "to": "*@example.com", "effect": "write"},
    "chat": {"url_secret": "CHAT_URL", "effect": "write"},
}


def make_what_tools_name() -> None:
    make_connection()
    make_connection("letters", kind="smtp", settings={"host": "mail.example.com", "port": 587, "user": "", "tls": "starttls"})
    make_flow("asks")
    for name in ("SHOP_KEY", "CHAT_URL"):
        put_secret(make_actor("owner"), name, "a long secret", [])
    make_policy()


@pytest.mark.parametrize("kind", sorted(NEW))
def test_a_tool_of_every_kind_is_made_from_nothing_shown_tried_and_changed(kind: str) -> None:
    make_what_tools_name()
    owner = signed_in("owner")

    assert f'data-id="{kind}"' in text_of(owner, "/tools/new")
    assert 'name="name"' in text_of(owner, f"/tools/new?kind={kind}")
    made = owner.post("/tools/new", {"kind": kind, "name": f"new.{kind}", "description": "Does it.", **NEW[kind]})

    assert made.status_code == 302, made.content.decode()
    entry = ToolEntry.objects.get()
    assert (entry.slug, entry.kind, entry.effect, entry.description) == (f"new.{kind}", kind, NEW[kind]["effect"], "Does it.")
    assert AuditRow.objects.filter(action="tool.create", subject=entry.slug).exists()
    assert "Try it" in text_of(owner, f"/tools/new.{kind}")
    edit = text_of(owner, f"/tools/new.{kind}/edit")
    sent = {name: value for name, value in NEW[kind].items() if f'name="{name}"' in edit}
    assert owner.post(f"/tools/new.{kind}/edit", {**sent, "result": '{"type": "object"}'}).status_code == 302
    changed = ToolEntry.objects.get()
    assert changed.result == {"type": "object"}
    assert (changed.settings, changed.effect, changed.repeat) == (entry.settings, entry.effect, entry.repeat)
    assert (changed.description, changed.policy, changed.timeout) == (entry.description, entry.policy, entry.timeout)


def test_all_that_is_said_of_an_HTTP_tool_is_kept() -> None:
    make_what_tools_name()

    signed_in("owner").post("/tools/new", {"kind": "http", "name": "orders.take", **NEW["http"]})

    entry = ToolEntry.objects.get()
    assert entry.settings == {
        "method": "POST",
        "url": "https://shop.example.com/orders/{order}",
        "headers": {"Accept": "application/json"},
        "header_secret": {"Authorization": "SHOP_KEY"},
        "query": ["dry", "page"],
        "body": {"lines": "{{ arguments.lines }}"},
        "gives": "{{ answer.id }}",
        "expected": [200, 201],
        "response": "json",
        "idempotency_header": "Idempotency-Key",
    }
    assert (entry.repeat, entry.known_for, entry.timeout, entry.max_in_flight) == ("keyed", 86400, 20, 5)
    assert (entry.policy, entry.reversible, entry.trusted, entry.result) == ("refunds", True, True, {"type": "string"})


def test_a_python_tool_takes_and_gives_what_its_hints_say() -> None:
    signed_in("owner").post("/tools/new", {"kind": "python", "name": "count.words", **NEW["python"]})

    entry = ToolEntry.objects.get()
    assert entry.arguments["properties"] == {"text": {"type": "string"}}
    assert entry.arguments["required"] == ["text"]
    assert entry.result["type"] == "object"


@pytest.mark.parametrize(
    ("kind", "field", "value", "said"),
    [
        ("http", "url", "ftp://there", "must be an http or https address"),
        ("http", "url", "", "This field is required"),
        ("http", "name", "Orders!", "is no name"),
        ("http", "name", "there.already", "there is a tool"),
        ("http", "headers", "no colon", "line 1 is no"),
        ("http", "body", "{", "is no JSON"),
        ("http", "gives", "{{ answer.x.( }}", "is not closed"),
        ("http", "expected", "ok", "is no whole number"),
        ("http", "arguments", "{", "is no JSON Schema"),
        ("http", "arguments", '{"type": "nonsense"}', "nonsense"),
        ("http", "timeout", "soon", "is not a duration"),
        ("http", "max_in_flight", "many", "whole number"),
        ("http", "idempotency_header", "", "needs the header that carries the key"),
        ("http", "policy", "nobodys", "nobodys"),
        ("sql", "rows", "0", "it must be at least 1"),
        ("sql", "connection", "", "This field is required"),
        ("flow", "flow", "nothing", "nothing"),
        ("python", "function", "nothing", "nothing"),
    ],
)
def test_what_is_wrong_with_a_new_tool_stands_at_its_field_and_nothing_typed_is_lost(
    kind: str, field: str, value: str, said: str
) -> None:
    make_what_tools_name()
    make_tool("there.already")

    typed = {"kind": kind, "name": "orders.take", "description": "What was typed.", **NEW[kind], field: value}
    answer = signed_in("owner").post("/tools/new", typed)

    page = answer.content.decode()
    assert answer.status_code == 400
    at = "repeat" if field == "idempotency_header" else field
    error = re.search(rf'id="id_{at}-error">(.*?)</p>', page, re.DOTALL)
    assert error is not None, page
    assert said in unescape(error[1])
    assert "What was typed." in page
    for kept in NEW[kind].values():
        if kept not in (NEW[kind].get(field), "on", "yes") and "\n" not in kept:
            assert kept in unescape(page)
    assert ToolEntry.objects.get().slug == "there.already"


def test_the_policy_of_a_tool_is_set_with_what_it_counts_as_and_shown() -> None:
    make_policy()
    make_tool("pay.out", effect="write", repeat="never")
    owner = signed_in("owner")

    refused = owner.post("/tools/pay.out", {**TERMS, "effect": "write", "policy": "nobodys"})
    owner.post("/tools/pay.out", {**TERMS, "effect": "write", "policy": "refunds"})

    assert "there is no policy `nobodys` in force" in refused.content.decode()
    assert ToolEntry.objects.get().policy == "refunds"
    assert re.search(
        r'data-testid="policies"><a href="/approvals/policies/refunds">Refunds over 250</a>', text_of(owner, "/tools/pay.out")
    )


def test_an_MCP_server_with_an_address_is_made_in_the_browser_one_with_a_command_never() -> None:
    owner = signed_in("owner")
    put_secret(make_actor("owner"), "FAR_KEY", "Bearer a long token", [])
    far = {"act": "save", "name": "far", "kind": "mcp", "url": "https://far.example.com/mcp", "secret": "FAR_KEY"}

    wrong = owner.post("/connections", {**far, "url": "file:///etc/passwd"})
    made = owner.post("/connections", far)

    assert "must be an http or https address" in wrong.content.decode()
    assert 'value="file:///etc/passwd"' in wrong.content.decode()
    assert made.status_code == 302
    row = MCPServer.objects.get()
    assert (row.url, row.command, row.header_secret) == ("https://far.example.com/mcp", [], {"Authorization": "FAR_KEY"})
    assert 'action="/connections/far/check"' in text_of(owner, "/tools/new?kind=mcp")
    with pytest.raises(Invalid) as refused:
        part = {"kind": "mcp", "command": ["/bin/sh"], "url": ""}
        put_connection(make_actor("owner"), "near", ConnectionPart.model_validate(part))
    assert "in a catalogue document only" in refused.value.problems[0].message
    assert MCPServer.objects.count() == 1
