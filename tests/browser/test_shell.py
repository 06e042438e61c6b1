"""The shell, signing in, and the page of components, as a person meets them."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.makers import make_flow, make_run

PASSWORD = "correct horse battery"


def test_somebody_signs_in_and_goes_on_to_the_page_they_asked_for(visit: Any, person: Any) -> None:
    person("owner")
    someone = visit()
    someone.go("/internal/components")

    assert someone.path.startswith("/login?next=")
    someone.page.get_by_label("Username").fill("owner")
    someone.page.get_by_label("Password").fill(PASSWORD)
    someone.page.get_by_label("Password").press("Enter")

    expect(someone.page.get_by_role("heading", name="Components")).to_be_visible()
    assert someone.path == "/internal/components"
    someone.is_quiet()


def test_a_wrong_password_is_said_and_the_name_is_kept(visit: Any, person: Any) -> None:
    person("owner")
    someone = visit()

    someone.sign_in("owner", "wrong")

    expect(someone.see("form-errors")).to_contain_text("do not belong together")
    expect(someone.see("form-errors")).to_be_focused()
    expect(someone.page.get_by_label("Username")).to_have_value("owner")
    expect(someone.page.get_by_label("Password")).to_have_value("")
    someone.is_accessible()
    someone.expect_noise("422")
    someone.is_quiet()


def test_signing_out_ends_it(visit: Any, person: Any) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/internal/components")

    owner.page.get_by_label("You: owner").click()
    owner.see("sign-out").click()
    expect(owner.page.get_by_role("heading", name="Sign in")).to_be_visible()

    owner.go("/internal/components")
    assert owner.path.startswith("/login")


def test_every_component_is_accessible_in_both_themes_and_quiet(visit: Any, person: Any) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/internal/components")
    expect(owner.see("live")).to_have_attribute("data-status", "live")

    owner.is_accessible("light", "dark")
    owner.fits()
    owner.is_quiet()


def test_nothing_is_wider_than_a_phone(visit: Any, person: Any) -> None:
    owner = visit(phone=True, as_=person("owner"))
    owner.go("/internal/components")

    owner.fits()
    owner.see("add-filter").click()
    owner.fits()
    owner.is_accessible("light")
    owner.is_quiet()


def test_only_owners_see_the_components(visit: Any, person: Any) -> None:
    viewer = visit(as_=person("viewer"))

    assert viewer.go("/internal/components").status == 404
    expect(viewer.see("problem")).to_contain_text("There is nothing here")
    expect(viewer.see("request-id")).not_to_be_empty()
    viewer.is_accessible()


def test_SH_2_the_sheet_of_keys_opens_and_gives_the_focus_back(visit: Any, person: Any) -> None:
    """And SH-3 within a field, where keys are text; and SH-6: with the navigation collapsed each icon has its name and tells it."""
    owner = visit(as_=person("owner"))
    owner.go("/internal/components")

    before = owner.page.get_by_role("link", name="Budgets").first
    before.focus()
    owner.page.keyboard.press("?")
    expect(owner.see("keys")).to_be_visible()
    owner.is_accessible()
    owner.page.keyboard.press("Escape")
    expect(owner.see("keys")).to_be_hidden()
    expect(before).to_be_focused()
    owner.page.locator("[data-nav-toggle]").click()
    links = owner.page.get_by_role("navigation", name="Main").locator("a.nav-link")
    for link in links.all():
        expect(link).to_have_accessible_name(re.compile(r"\w{4}"))
        expect(link).to_have_attribute("title", re.compile(r"\w{4}"))
    assert links.count() > 10

    search = owner.page.get_by_placeholder("Search runs")
    owner.page.keyboard.press("/")
    expect(search).to_be_focused()
    owner.page.keyboard.type("g?r")
    expect(search).to_have_value("g?r")
    expect(owner.see("keys")).to_be_hidden()


def test_SH_3_two_keys_go_to_a_page(visit: Any, person: Any) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/internal/components")

    owner.page.keyboard.type("gr")

    owner.page.wait_for_url("**/runs")


def test_the_palette_goes_to_a_page_by_its_name(visit: Any, person: Any) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/internal/components")

    owner.page.keyboard.press("Control+k")
    box = owner.page.get_by_role("combobox", name="Search or jump")
    expect(box).to_be_focused()
    box.fill("bud")
    expect(owner.page.get_by_role("listbox").get_by_role("option")).to_have_text(["Budgetsg b"])
    owner.is_accessible("light")
    owner.page.keyboard.press("Escape")
    expect(box).to_be_hidden()


def test_SH_4_the_palette_opens_a_pasted_identifier_and_finds_runs_flows_and_acts(visit: Any, person: Any) -> None:
    flow = make_flow("refund-decision")
    run = make_run(flow, status="failed")
    owner = visit(as_=person("owner"))
    owner.go("/runs")
    box = owner.page.get_by_role("combobox", name="Search or jump")
    options = owner.page.get_by_role("listbox").get_by_role("option")

    owner.page.keyboard.press("Control+k")
    box.fill(run.public_id)
    box.press("Enter")
    owner.page.wait_for_url(f"**/runs/{run.public_id}")
    owner.page.keyboard.press("Control+k")
    box.fill("state:failed flow:refund-decision")
    expect(options).to_have_count(2)
    owner.is_accessible("dark")
    box.fill("refund")
    expect(options.filter(has_text="refund-decision").first).to_be_visible()
    box.fill("> nothing like it")
    expect(options).to_have_count(0)
    box.fill("> re-run")
    expect(options.first).to_contain_text("Re-run with changes")
    box.press("Enter")

    owner.page.wait_for_url("**/run?from=*")
    owner.is_quiet()


def test_the_look_is_kept_and_comes_from_the_server(visit: Any, person: Any) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/internal/components")

    owner.page.get_by_label("You: owner").click()
    owner.page.get_by_role("button", name="Dark").click()
    owner.page.get_by_role("button", name="Collapse navigation").click()
    html = owner.page.request.get(owner.site.url + "/internal/components").text()

    assert 'data-theme="dark"' in html
    assert 'data-nav="collapsed"' in html


def test_the_indicator_says_when_the_server_is_gone_and_comes_back(visit: Any, person: Any, site: Any) -> None:
    owner = visit(as_=person("owner"))
    owner.go("/internal/components")
    live = owner.see("live")
    expect(live).to_have_attribute("data-status", "live")

    site.stop()
    expect(live).to_have_attribute("data-status", "reconnecting")
    site.start()

    expect(live).to_have_attribute("data-status", "live")
