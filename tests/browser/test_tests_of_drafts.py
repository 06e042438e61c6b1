"""Testing in the builder's dock, with a real engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from flows.builder.actions.publish_flow import publish_flow
from flows.models import Flow, Run, ToolEntry
from flows.runs.actions.start_run import start_run
from tests.engine.flows import source_of
from tests.execution.conftest import Drive, drive, models_loaded
from tests.execution.runs import approval, calls_of, finish, make_model, model, output_of, tool
from tests.makers import make_actor, make_flow

__all__ = ["drive", "models_loaded"]
RECEIPT = {"type": "object", "required": ["receipt"], "properties": {"receipt": {"type": "string", "examples": ["r-1"]}}}
INPUT = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "integer"}}}


@pytest.fixture(autouse=True)
def engine(site: Any, drive: Drive) -> None:
    make_model(slug="sim-a")
    ToolEntry.objects.create(
        slug="refunds.create",
        kind="http",
        effect="write",
        repeat="keyed",
        settings={"method": "POST", "url": "http://127.0.0.1:9/"},
        result=RECEIPT,
    )
    drive()


def flow_with(steps: dict[str, Any], edges: list[str], **more: Any) -> Flow:
    return make_flow("refund", document=source_of(steps, edges, input=INPUT, **more), published=False)


def opened(visit: Any, person: Any, node: str = "", **options: Any) -> Any:
    at = visit(as_=person("builder"), **options)
    at.go(f"/flows/refund/edit?panel=test{f'&node={node}' if node else ''}")
    expect(at.page.locator("#builder[data-ready]")).to_be_attached()
    expect(at.see("test-draft")).to_be_visible()
    return at


def ended(at: Any, state: str = "succeeded") -> None:
    expect(at.page.locator(f"#test-result[data-ended][data-state={state}]")).to_be_attached(timeout=15_000)


CHAIN = {
    "one": model("One {{ input.amount }}"),
    "two": model("Two {{ steps.one.output }}"),
    "end": {"kind": "set", "with": {"values": {"said": "{{ steps.two.output }}"}}},
}
EDGES = ["start -> one", "one -> two", "two -> end"]


def test_BLD_7_a_pin_changes_the_test_and_not_the_next_published_run(visit: Any, person: Any) -> None:
    flow = flow_with(CHAIN, EDGES, output={"said": "{{ steps.end.output.said }}"})
    at = opened(visit, person)
    at.page.locator("#test-form [name=input-amount]").fill("7")
    expect(at.see("estimate-draft")).to_contain_text("at most")
    at.see("test-draft").click()
    ended(at)
    expect(at.see("test-cost")).to_contain_text("$")
    assert at.page.evaluate("document.getElementById('canvas').statuses.two") == "succeeded"

    step = at.see("test-step").filter(has_text="Two")
    step.locator("summary").first.click()
    step.get_by_text("Edit, then pin").click()
    step.locator("[data-edited]").fill('"pinned words"')
    step.get_by_test_id("pin-edited").click()
    expect(step.get_by_test_id("unpin")).to_be_visible()
    expect(at.see("estimate-draft")).to_contain_text("median of 1")
    at.page.wait_for_function("() => document.getElementById('canvas').model.facts.two.badges.pin")

    at.see("test-draft").click()
    expect(at.see("test-source")).to_have_text("pinned")
    ended(at)
    assert output_of(Run.objects.latest("id")) == {"said": "pinned words"}

    publish_flow(make_actor("builder"), flow.slug)
    live = finish(start_run(make_actor("operator"), flow.slug, {"amount": 7}))
    assert output_of(live)["said"] != "pinned words"
    assert [call.path for call in calls_of(live)] == ["one", "two"]
    at.is_quiet()


def test_a_step_is_tested_without_a_call_before_it(visit: Any, person: Any) -> None:
    handler = {"steps": {"tell": model("Tell {{ error.message }}", label="Tell us")}, "edges": ["start -> tell"]}
    flow_with(CHAIN, EDGES, on_error=handler)
    at = opened(visit, person, "two")
    expect(at.see("test-only")).to_contain_text("Two")

    at.see("test-only").click()
    ended(at)

    run = Run.objects.get()
    assert [call.path for call in calls_of(run)] == ["two"]
    expect(at.see("test-source")).to_have_text("schema")

    at.page.evaluate("() => document.getElementById('canvas').select(['error.tell'])")
    expect(at.see("test-only")).to_contain_text("Tell us")
    at.see("test-only").click()
    expect(at.see("test-supposed")).to_contain_text("two had failed")
    ended(at)
    assert [call.path for call in calls_of(Run.objects.latest("id"))] == ["error.tell"]
    assert at.page.evaluate("document.getElementById('canvas').statuses['error.tell']") == "succeeded"
    expect(at.see("test-step").filter(has_text="Two")).to_contain_text("supposed to fail")
    at.is_quiet()


def test_tools_are_dry_and_the_tester_decides(visit: Any, person: Any) -> None:
    steps = {"ask": approval(seals="pay"), "pay": tool("refunds.create", {"amount": "{{ input.amount }}"})}
    flow_with(steps, ["start -> ask", "ask.approve -> pay"])
    at = opened(visit, person)
    at.page.locator("#test-form [name=input-amount]").fill("12")
    at.see("test-draft").click()

    expect(at.see("test-ask")).to_contain_text("12")
    at.page.get_by_role("button", name="Approve", exact=True).click()
    ended(at)

    expect(at.see("test-dry")).to_be_visible()
    assert json.loads(calls_of(Run.objects.get(), "pay")[0].request or "") == {"amount": 12}
    at.go("/approvals")
    expect(at.see("approval-row")).to_have_count(0)
    at.is_quiet()


def test_an_error_leads_to_its_step(visit: Any, person: Any) -> None:
    flow_with({**CHAIN, "two": model("Two [[sim: fail=bad_request]]")}, EDGES)
    at = opened(visit, person)
    at.see("test-draft").click()
    ended(at, "failed")

    at.see("test-error").get_by_role("button", name="Go to").click()

    expect(at.page.locator("#inspector-form")).to_have_attribute("data-place", "steps two")
    at.is_quiet()


def test_what_keeps_a_test_from_beginning_is_said_in_the_dock(visit: Any, person: Any) -> None:
    flow_with({**CHAIN, "later": model("", route="")}, [*EDGES, "end -> later"])
    at = opened(visit, person)
    at.page.locator("#test-form [name=input-amount]").fill("")
    at.see("test-draft").click()
    expect(at.page.get_by_text("This is required.").first).to_be_visible()
    at.page.locator("#test-form [name=input-amount]").fill("3")
    at.see("test-draft").click()
    expect(at.see("test-refused")).to_contain_text("steps.later")
    assert not Run.objects.exists()


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_the_dock_is_accessible_and_fits(visit: Any, person: Any, phone: bool) -> None:
    flow_with(CHAIN, EDGES)
    at = opened(visit, person, phone=phone)
    at.see("test-draft").click()
    ended(at)
    at.see("test-step").first.locator("summary").first.click()
    at.fits()
    at.is_accessible()
