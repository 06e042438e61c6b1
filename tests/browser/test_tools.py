"""Tools, connections and secrets as people use them. Each check bears its identifier."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone
from playwright.sync_api import expect

from approvals.actions.save_policy import save_policy
from flows.models import Connection, Person, Secret, ToolEntry
from tests.engine.flows import source_of
from tests.makers import make_actor, make_flow

Person_ = Callable[[str], Person]
SQL = {"connection": "shop", "query": "SELECT 1"}


def row(at: Any, slug: str, what: str = "connection-row") -> Any:
    return at.page.locator(f'[data-testid="{what}"][data-id="{slug}"]')


def make_connection(slug: str = "shop", **fields: Any) -> Connection:
    settings = {"host": "127.0.0.1", "port": 9, "database": "shop", "tls": "disable"}
    return Connection.objects.create(slug=slug, kind="postgresql", settings=settings, **fields)


def make_tool(slug: str, **fields: Any) -> ToolEntry:
    return ToolEntry.objects.create(
        **{"slug": slug, "kind": "sql", "effect": "read", "repeat": "freely", "settings": SQL, **fields}
    )


def test_CON_1_a_secret_is_written_and_never_shown_again(visit: Any, person: Person_) -> None:
    make_connection(secret="SHOP_PASSWORD")
    at = visit(as_=person("owner"))

    at.go("/secrets")
    at.page.get_by_label("Name", exact=True).fill("SHOP_PASSWORD")
    at.page.get_by_label("Value").fill("a canary of a password")
    at.page.get_by_label("connection:shop").check()
    at.see("save").click()

    found = row(at, "SHOP_PASSWORD", "secret-row")
    expect(found).to_contain_text(Secret.objects.get().fingerprint)
    expect(found).to_contain_text("connection:shop")
    for address in ("/secrets", "/connections", "/audit"):
        at.go(address)
        assert "a canary of a password" not in at.page.content()


def test_CON_2_and_4_what_expires_soon_stands_on_home_and_a_check_says_what_came_of_it(visit: Any, person: Person_) -> None:
    make_connection(expires_on=timezone.localdate() + timedelta(days=6))
    at = visit(as_=person("owner"))

    at.go("/")
    expect(at.see("expiring")).to_contain_text("The connection shop expires in 6 days")
    at.see("expiring").get_by_role("link", name="Renew it").click()
    expect(row(at, "shop").get_by_test_id("expires-soon")).to_have_text("in 6 days")
    row(at, "shop").get_by_test_id("check").click()

    expect(at.see("checked")).to_contain_text("127.0.0.1:9 is not on the public internet. An owner must add")
    expect(row(at, "shop").locator('[data-label="Last check"]')).not_to_contain_text("never")


def test_CON_3_a_used_connection_is_not_removed_until_it_is_replaced(visit: Any, person: Person_) -> None:
    make_connection()
    make_tool("shop.find")
    make_flow("reader", document=source_of({"a": {"kind": "tool", "with": {"tool": "shop.find"}}}, ["start -> a"]))
    at = visit(as_=person("owner"))

    at.go("/connections")
    row(at, "shop").get_by_test_id("remove").click()
    expect(at.see("refusal")).to_contain_text("shop is used by shop.find. They are called by flow reader v1.")
    ToolEntry.objects.update(settings={**SQL, "connection": "other"})
    row(at, "shop").get_by_test_id("remove").click()

    expect(row(at, "shop")).to_have_count(0)


def test_CON_5_another_effect_warns_about_what_it_bears_on(visit: Any, person: Person_) -> None:
    make_tool("pay.out", effect="write", repeat="never")
    agent = {"kind": "agent", "with": {"route": "r", "prompt": "p", "tools": ["pay.out"]}}
    make_flow("asks", document=source_of({"work": agent}, ["start -> work"]))
    somebody = person("approver")
    save_policy(make_actor("owner"), "refunds", "Refunds over 250", {"tools": ["pay.*"], "people": [somebody.username]})
    at = visit(as_=person("owner"))

    at.go("/tools/pay.out")
    expect(at.see("policies")).to_have_text("Refunds over 250")
    at.page.get_by_label("Effect").select_option("read")
    at.see("save-terms").click()

    expect(at.see("affected")).to_contain_text("Refunds over 250")
    expect(at.see("affected")).to_contain_text("it would not ask any more")
    assert ToolEntry.objects.get().effect == "write"
    at.page.get_by_label("change it all the same").check()
    at.see("save-terms").click()
    expect(at.see("affected")).to_have_count(0)
    expect(at.page.locator("main")).to_contain_text("Reads")
    assert ToolEntry.objects.get().effect == "read"


def test_a_tool_is_made_from_nothing_by_form_with_a_plain_schema_and_then_changed(visit: Any, person: Person_) -> None:
    at = visit(as_=person("owner"))

    at.go("/tools")
    at.see("new-tool").click()
    at.page.get_by_role("link", name="HTTP service").click()
    at.page.get_by_label("Name", exact=True).fill("orders.find")
    at.page.get_by_label("Address", exact=True).fill("ftp://nowhere")
    takes = at.page.locator('[data-field="arguments"]')
    takes.get_by_role("button", name="Add a field").click()
    takes.get_by_label("Field", exact=True).fill("order")
    takes.get_by_label("Type of the field").select_option("integer")
    takes.get_by_label("required").check()
    takes.get_by_label("What the field is").fill("Its number")
    at.page.get_by_text("As text").last.click()
    at.page.get_by_label("What it gives, as JSON Schema").fill('{"type": "object", "properties": {"total": {"type": "number"}}}')
    expect(at.page.locator('[data-field="result"] [data-name]')).to_have_value("total")
    at.see("save").click()

    expect(at.page.locator("#id_url-error")).to_contain_text("must be an http or https address")
    expect(at.page.get_by_label("Address", exact=True)).to_have_value("ftp://nowhere")
    expect(takes.get_by_label("Field", exact=True)).to_have_value("order")
    at.is_accessible()
    at.expect_noise("400")
    at.page.get_by_label("Address", exact=True).fill("https://shop.example.com/orders/{order}")
    at.see("save").click()

    expect(at.page.get_by_label("Arguments, as JSON")).to_have_value('{\n  "order": 1\n}')
    entry = ToolEntry.objects.get()
    assert entry.arguments == {
        "type": "object",
        "required": ["order"],
        "properties": {"order": {"type": "integer", "description": "Its number"}},
    }
    assert entry.result == {"type": "object", "properties": {"total": {"type": "number"}}}
    at.page.get_by_role("link", name="How it is called").click()
    at.page.get_by_label("Calls at a time").fill("3")
    at.see("save").click()
    expect(at.see("try-form")).to_be_visible()
    assert ToolEntry.objects.get().max_in_flight == 3
