"""Versions, templates, the list and the page of a flow, as people use them. Each check bears its identifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from flows.access.actor import Actor
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.save_draft import save_draft
from flows.builder.templates import templates
from flows.models import Flow, ModelEntry, Person
from tests.makers import DOCUMENT, make_flow, make_run
from tests.pages.test_flows import make_call

Person_ = Callable[[str], Person]
STEPS = "steps:\n" + "".join(
    f"  step_{n}:\n    kind: set\n    with: {{values: {{text: 'Hello number {n}'}}}}\n" for n in range(12)
)
LONG = f"orchestrator: 1\nname: Long\n{STEPS}edges:\n  - start -> step_0\n" + "".join(
    f"  - step_{n} -> step_{n + 1}\n" for n in range(11)
)


def versions(builder: Person, slug: str, *texts: str) -> Flow:
    """A flow with a version of each text but the last, which is its draft."""
    actor = Actor(person=builder)
    flow = save_draft(actor, slug, texts[0])
    for text in texts[1:]:
        publish_flow(actor, slug, note="A version")
        flow = save_draft(actor, slug, text)
    return flow


@pytest.fixture
def greeting(person: Person_) -> Flow:
    return versions(person("builder"), "greeting", *(DOCUMENT.replace("Hello", word) for word in ("One", "Two", "Three")))


def test_DIF_1_moves_alone_are_no_functional_changes(visit: Any, person: Person_) -> None:
    versions(person("builder"), "greeting", DOCUMENT, DOCUMENT + "layout: {greet: [10, 20]}\n")
    page = visit(as_=person("viewer"))

    page.go("/flows/greeting/versions/compare")

    assert page.page.get_by_role("heading", name="No functional changes").is_visible()
    assert page.see("moves").count() == 0
    page.page.get_by_label("Show moves").check()
    page.see("moves").wait_for()
    page.is_quiet()


def test_DIF_2_and_4_one_word_is_one_field_marked_without_colour(visit: Any, person: Person_, greeting: Flow) -> None:
    page = visit(as_=person("viewer"))

    page.go("/flows/greeting/versions/compare?from=v1&to=v2")

    assert page.see("field").count() == 1
    assert page.page.locator(".change mark").all_inner_texts() == ["One", "Two"]
    style = page.page.locator(".change mark").first.evaluate("e => getComputedStyle(e).textDecorationLine")
    assert style == "underline"
    assert page.page.locator("[data-testid=node][data-id=greet] .change-mark").text_content() == "~"
    assert page.page.locator("[data-testid=change] .mark").first.inner_text() == "~"
    page.is_accessible()
    page.fits()


def test_DIF_3_j_and_k_step_through_the_changes(visit: Any, person: Person_) -> None:
    versions(person("builder"), "long", LONG, LONG.replace("Hello", "Bye"))
    page = visit(as_=person("viewer"), viewport={"width": 1440, "height": 700})
    page.go("/flows/long/versions/compare")
    links = page.see("change-link")
    assert links.count() == 12

    for _ in range(10):
        page.page.keyboard.press("j")

    assert links.nth(9).get_attribute("aria-current") == "true"
    assert page.page.locator("#change-10").evaluate("e => e.getBoundingClientRect().top < innerHeight")
    here = page.page.locator(".overlay .node.is-here")
    assert here.get_attribute("data-id") == "step_9"
    assert here.evaluate(
        """node => { const [a, b] = [node, node.closest(".overlay")].map(each => each.getBoundingClientRect())
          return a.top >= b.top && a.bottom <= b.bottom && a.left >= b.left && a.right <= b.right }"""
    )
    page.page.keyboard.press("k")
    assert links.nth(8).get_attribute("aria-current") == "true"
    page.is_quiet()


def test_DIF_5_the_address_opens_the_same_pair_and_mode(visit: Any, person: Person_, greeting: Flow) -> None:
    first = visit(as_=person("viewer"))
    first.go("/flows/greeting/versions/compare?from=v1&to=v2")
    first.page.get_by_text("Text", exact=True).click()
    first.see("side-by-side").wait_for()

    second = visit(as_=person("viewer"), phone=True, dark=True)
    second.go(first.path)

    assert second.see("side-by-side").is_visible()
    assert (second.page.get_by_label("From").input_value(), second.page.get_by_label("To", exact=True).input_value()) == (
        "v1",
        "v2",
    )
    second.is_accessible()
    second.fits()


def test_TPL_1_3_and_5_a_template_becomes_a_draft_that_validates(visit: Any, person: Person_) -> None:
    ModelEntry.objects.create(slug="sim-small", model="sim/small", simulated=True)
    page = visit(as_=person("builder"))
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    page.go("/templates")
    assert page.see("template").count() == len(templates()) >= 12
    page.is_accessible()

    page.page.get_by_role("link", name="Use Refund decision").click()
    page.see("use-form").wait_for()
    assert page.page.locator("[data-testid=need][data-missing=yes]").count() == 2
    assert not Flow.objects.exists()
    page.is_accessible()
    page.see("use-now").click()
    page.page.wait_for_url("**/flows/refund-decision/edit")

    page.go("/flows/refund-decision/publication")
    assert page.see("publish-now").is_enabled()
    page.is_accessible()
    assert [url for url in asked if not url.startswith((page.site.url, "data:", "blob:"))] == []


def test_TPL_4_tags_are_in_the_address(visit: Any, person: Person_) -> None:
    page = visit(as_=person("viewer"), phone=True)
    page.go("/templates?tag=map")
    assert page.see("template").count() == sum("map" in each.tags for each in templates()) >= 3
    assert page.see("use").count() == 0
    page.fits()


def test_FLW_1_and_5_sort_and_search_survive_a_reload(visit: Any, person: Person_) -> None:
    for slug, cost in (("refund", "0.1"), ("triage", "0.9")):
        run = make_run(make_flow(slug), status="succeeded", spent=cost)
        make_call(run, cost)
    page = visit(as_=person("operator"))
    page.go("/flows")
    page.page.get_by_role("link", name="This month").click()
    page.page.wait_for_url("**/flows?sort=-cost_month")
    page.page.reload()
    assert [each.get_attribute("data-id") for each in page.see("flow-row").all()] == ["triage", "refund"]

    page.page.get_by_placeholder("Search flows").fill("refund")
    page.page.keyboard.press("Enter")
    page.page.wait_for_url("**q=refund**")
    assert page.see("flow-row").count() == 1
    page.is_accessible()
    page.is_quiet()


def test_FLW_3_pausing_asks_once_and_says_who(visit: Any, person: Person_, greeting: Flow) -> None:
    page = visit(as_=person("builder"))
    page.go("/flows")
    page.page.get_by_label("Select Greeting").check()
    page.see("bulk").get_by_role("button", name="Pause").click()
    page.see("bulk-confirm").wait_for()
    page.is_accessible("light")
    page.see("bulk-confirm").click()

    page.see("paused").wait_for()
    assert "builder" in page.see("flow-row").inner_text()


def test_FLW_6_a_viewer_gets_no_way_to_edit(visit: Any, person: Person_, greeting: Flow) -> None:
    page = visit(as_=person("viewer"))
    for address in ("/flows", "/flows/greeting"):
        page.go(address)
        assert page.see("edit").count() == 0
        assert page.page.get_by_text("New flow").count() == 0
    assert page.go("/flows/greeting/edit").status == 403
    assert "Builder" in page.page.locator("main").inner_text()


def test_FP_1_rolling_back_adds_a_version(visit: Any, person: Person_, greeting: Flow) -> None:
    page = visit(as_=person("builder"))
    page.go("/flows/greeting?tab=versions")
    page.is_accessible()
    row = page.page.locator("[data-testid=version-row][data-id='1']")
    row.locator("summary").click()
    row.get_by_test_id("rollback").click()
    expect(page.page.locator(".change mark")).to_have_text(["Two", "One"])
    page.is_accessible()
    page.see("rollback-confirm").click()
    page.page.wait_for_url("**?tab=versions")

    assert [each.get_attribute("data-id") for each in page.see("version-row").all()] == ["3", "2", "1"]


def test_FP_4_settings_and_report_are_whole_in_both_themes(visit: Any, person: Person_, greeting: Flow) -> None:
    page = visit(as_=person("owner"))
    for tab in ("overview", "report", "costs", "settings"):
        page.go(f"/flows/greeting?tab={tab}")
        page.is_accessible()
        page.fits()
    page.page.get_by_label("Tags").fill("ops, money")
    page.see("save-settings").click()
    page.page.wait_for_url("**?tab=settings")
    assert page.page.get_by_label("Tags").input_value() == "ops, money"
    page.is_quiet()


def test_FP_5_the_command_is_one_click_away(visit: Any, person: Person_, greeting: Flow) -> None:
    page = visit(as_=person("builder"))
    page.go("/flows/greeting")
    page.page.locator("summary[aria-label='More about this flow']").click()
    page.see("open-curl").click()

    assert '{"input": {"name": "text"}}' in page.see("curl").inner_text()
    page.is_accessible("light")
