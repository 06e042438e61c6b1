"""The builder in a browser: each check by its identifier."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import expect

from flows.engine.document import parse_document
from flows.models import Flow, Membership, Person
from tests.browser.workbench import EMPTY, PASTE, REFUND, choose, field, fill_catalogue, opened, saved, stored
from tests.makers import make_flow, make_person, make_run, make_team
from tests.runs.journals import make_attempt

DEMO_FLOWS = settings.BASE_DIR / "orchestrator" / "demo_flows"


@pytest.fixture(autouse=True)
def catalogue(site: Any) -> None:
    fill_catalogue()


# --- saving


def test_BLD_3_an_edit_is_saved_by_itself_and_survives_a_reload(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    choose(at, "classify")
    warned: list[Any] = []
    at.page.on("dialog", lambda dialog: (warned.append(dialog), dialog.accept()))

    field(at, "/label").fill("Sort it")
    expect(at.see("saved")).to_contain_text("Saving…")
    saved(at)
    expect(at.see("saved")).to_contain_text(re.compile(r"Saved \d\d:\d\d:\d\d rev 2"))
    at.page.reload()

    expect(at.see("saved")).to_contain_text(re.compile(r"Saved \d\d:\d\d:\d\d rev 2"))
    expect(field(at, "/label")).to_have_value("Sort it")
    assert stored()["steps"]["classify"]["label"] == "Sort it"
    assert warned == []
    at.is_quiet()


def test_BLD_4_a_stale_tab_overwrites_nothing(visit: Any, person: Any) -> None:
    make_person("builder", username="builder-2")
    first = opened(visit, person)
    second = visit(as_=Person.objects.get(username="builder-2"))
    second.go("/flows/refund/edit")
    expect(second.page.locator("#builder[data-ready]")).to_be_attached()

    field(second, "/description").fill("Theirs")
    saved(second)
    choose(first, "classify")
    field(first, "/label").fill("Mine")

    panel = first.see("conflict")
    expect(panel).to_contain_text("builder-2 saved rev 2 while you edited.")
    expect(panel).to_contain_text("kept")
    assert stored()["description"] == "Theirs"
    panel.get_by_role("button", name="Review").click()
    expect(first.see("conflict-review")).to_contain_text("steps.classify.label")
    first.expect_noise("409")
    first.is_accessible()
    first.page.get_by_role("button", name="Save mine on top").click()
    saved(first)
    assert stored()["steps"]["classify"]["label"] == "Mine"
    first.is_quiet()


def test_BLD_4_mine_becomes_a_copy_and_theirs_stays(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    field(at, "/description").fill("Mine")
    saved(at)
    Flow.objects.filter(slug="refund").update(revision=7, draft=REFUND.replace("Decides on", "Theirs on"))
    field(at, "/description").fill("Mine again")

    at.see("conflict").get_by_role("button", name="Save mine as a copy").click()

    at.page.wait_for_url("**/flows/refund-copy/edit")
    assert parse_document(Flow.objects.get(slug="refund-copy").draft).description == "Mine again"
    assert stored()["description"].startswith("Theirs")


def test_BLD_4_mine_is_discarded_when_asked(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    Flow.objects.filter(slug="refund").update(revision=7, draft=REFUND.replace("Decides on", "Theirs on"))
    field(at, "/description").fill("Mine")

    at.see("conflict").get_by_role("button", name="Discard mine").click()

    expect(field(at, "/description")).to_have_value(re.compile("^Theirs"))
    expect(at.see("saved")).to_contain_text("rev 7")


def test_what_is_typed_offline_is_kept_and_saved_later(visit: Any, person: Any, site: Any) -> None:
    at = opened(visit, person)
    at.context.set_offline(True)
    field(at, "/description").fill("Written in a tunnel")
    expect(at.see("saved")).to_contain_text("Not saved – offline since")
    expect(at.see("offline")).to_contain_text("kept in this browser")

    at.context.set_offline(False)
    saved(at)

    assert stored()["description"] == "Written in a tunnel"
    at.expect_noise("ERR_INTERNET_DISCONNECTED", "WebSocket")
    at.is_quiet()


PATIENCE_BY_THE_CLOCK = """AbortSignal.timeout = (wait) => {
  const over = new AbortController()
  setTimeout(() => over.abort(new DOMException("", "TimeoutError")), wait)
  return over.signal
}"""


def test_a_whole_minute_without_an_answer_loses_nothing(visit: Any, person: Any, site: Any) -> None:
    """The server hears nobody, as where a tunnel swallows what is sent; one goes on typing all the while, in form and canvas. The minute
    is one of the page's clock."""
    at = opened(visit, person)
    at.page.clock.install()
    at.page.add_init_script(PATIENCE_BY_THE_CLOCK)  # the browser's own timers do not go by the page's clock
    at.page.reload()
    expect(field(at, "/description")).to_be_visible()
    site.stop()
    began = at.page.evaluate("() => Date.now()")
    field(at, "/description").fill("")
    for number in range(6):
        field(at, "/description").press_sequentially(f"line {number} ")
        at.page.clock.run_for(10_000)
    at.page.evaluate("() => document.getElementById('canvas').add('set')")
    expect(at.see("saved")).to_contain_text("Not saved – offline since")
    assert at.page.evaluate("() => Date.now()") - began >= 60_000

    site.start()
    saved(at)

    assert stored()["description"] == "line 0 line 1 line 2 line 3 line 4 line 5 "
    assert "set" in stored()["steps"]
    at.expect_noise(
        "ERR_", "WebSocket", "htmx:ws:error", "failed:", "409", "Failed to fetch dynamically imported module"
    )  # what was sent into the tunnel may come out of it late
    at.is_quiet()


def test_an_answer_that_is_lost_is_no_conflict_with_oneself(visit: Any, person: Any) -> None:
    at = opened(visit, person)

    def swallow(route: Any) -> None:
        route.fetch()  # the server has saved it
        route.abort("connectionreset")

    at.page.route("**/draft", swallow, times=1)
    field(at, "/description").fill("First words")
    expect(at.see("saved")).to_contain_text("Not saved – offline since")
    field(at, "/description").fill("First words, and more")
    saved(at)

    expect(at.see("conflict")).to_be_hidden()
    assert stored()["description"] == "First words, and more"

    at.page.route("**/draft", swallow, times=1)
    field(at, "/description").fill("Words before a reload")
    expect(at.see("saved")).to_contain_text("Not saved – offline since")
    field(at, "/description").fill("Words before a reload, and more")
    at.page.reload()
    expect(field(at, "/description")).to_have_value("Words before a reload, and more")
    saved(at)
    expect(at.see("conflict")).to_be_hidden()
    assert stored()["description"] == "Words before a reload, and more"
    at.expect_noise("ERR_CONNECTION_RESET", "409")
    at.is_quiet()


def test_a_reload_in_the_middle_of_typing_loses_nothing(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    at.context.set_offline(True)
    field(at, "/description").press_sequentially(" and more")
    typed = field(at, "/description").input_value()
    at.context.set_offline(False)

    at.page.reload()

    expect(field(at, "/description")).to_have_value(typed)
    saved(at)
    assert stored()["description"] == typed


def test_a_session_that_ends_loses_nothing(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    cookies = at.context.cookies()
    at.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    field(at, "/description").fill("Typed after the end")

    expect(at.see("signed-out")).to_contain_text("Signed out – sign in in another tab, nothing is lost")
    at.context.add_cookies(cookies)
    saved(at)

    assert stored()["description"] == "Typed after the end"
    at.expect_noise("401")
    at.is_quiet()


# --- the inspector


def test_BLD_6_the_picker_inserts_and_the_preview_names_its_source(visit: Any, person: Any) -> None:
    flow = make_flow("refund", document=REFUND)
    run = make_run(flow, status="succeeded", input=json.dumps({"amount": 420, "message": "Late"}))
    make_attempt(run, "classify", kind="model", output={"topic": "refund"})
    at = opened(visit, person)
    choose(at, "approve")

    field(at, "/with/title").fill("")
    at.page.get_by_role("button", name="Insert data into What is asked").click()
    picker = at.see("data-picker")
    picker.get_by_role("combobox", name="Search the data").fill("input.am")
    expect(picker.get_by_role("option", name="input.amount")).to_contain_text("number")
    at.is_accessible()
    at.page.keyboard.press("Enter")

    preview = at.page.locator('[data-preview="/with/title"]')
    expect(field(at, "/with/title")).to_have_value("{{ input.amount }}")
    expect(preview).to_contain_text("420")
    expect(preview).to_contain_text(f"run #{run.number}")
    at.page.get_by_role("button", name="Insert data into What is asked").click()
    picker.get_by_role("combobox", name="Sample values from").select_option("schema")
    at.page.keyboard.press("Escape")
    expect(preview).to_have_text("No sample yet – number by schema")
    at.is_quiet()


def test_typing_keeps_the_caret_while_answers_arrive(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    choose(at, "classify")
    field(at, "/label").fill("ac")
    field(at, "/label").press("ArrowLeft")

    for letter in "bbbb":
        at.page.keyboard.type(letter)
        at.page.wait_for_timeout(350)
    saved(at)
    at.page.keyboard.type("!")

    expect(field(at, "/label")).to_have_value("abbbb!c")


def test_undo_reaches_the_form(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    choose(at, "classify")
    field(at, "/label").fill("Sort it")

    at.page.locator("[data-undo]").click()

    expect(field(at, "/label")).to_have_value("Classify the request")


# --- problems and code


def test_BLD_8_a_removed_step_is_a_problem_that_keeps_one_from_publishing(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=REFUND.replace('{text: "{{ error.message }}"}', "{amount: 1}"))
    expect(at.see("publish")).not_to_have_attribute("aria-disabled", "true")
    at.page.evaluate("() => document.getElementById('canvas').remove(['refund'])")

    at.page.get_by_role("tab", name="Problems").click()
    problem = at.see("problem").filter(has_text="is no tool step beside this one").first
    expect(problem).to_be_visible(timeout=8000)
    expect(at.see("publish")).to_have_attribute("aria-disabled", "true")
    expect(at.see("publish-why")).to_contain_text("to mend first")
    problem.get_by_role("button", name="Go to").click()

    expect(field(at, "/with/seals")).to_be_focused()
    expect(at.page.locator('[data-says="/with/seals"]')).to_contain_text("is no tool step")
    at.is_accessible()
    at.is_quiet()


def test_a_quick_fix_is_an_edit_that_can_be_undone(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=REFUND.replace("route: balanced", "route: balansed"), query="?panel=problems")

    at.see("problem").get_by_role("button", name="Change to balanced").click()
    saved(at)
    assert stored()["steps"]["classify"]["with"]["route"] == "balanced"
    at.page.locator("[data-undo]").click()
    saved(at)

    assert stored()["steps"]["classify"]["with"]["route"] == "balansed"


def test_BLD_10_a_text_that_cannot_be_read_is_marked_and_the_canvas_stays(visit: Any, person: Any) -> None:
    at = opened(visit, person, query="?panel=code")
    code = at.page.locator("#dock-code .cm-content")
    expect(code).to_contain_text("orchestrator: 1")
    whole = at.see("code").input_value()
    steps = "() => Object.keys(document.getElementById('canvas').value.steps).join()"
    before = at.page.evaluate(steps)

    code.click()
    at.page.keyboard.press("Control+Home")
    at.page.keyboard.type("[")
    expect(at.page.locator("#code-status")).to_contain_text("The canvas keeps the last flow that could be read.")
    expect(at.page.locator("#dock-code .cm-line.is-bad")).to_be_visible()
    expect(at.page.locator("#dock-code .cm-fault")).not_to_be_empty()
    assert at.page.evaluate(steps) == before
    at.page.keyboard.press("Backspace")
    expect(at.page.locator("#code-status")).to_be_empty()
    assert at.see("code").input_value() == whole
    at.page.keyboard.press("Control+a")
    code.evaluate(PASTE, whole.replace("label: Classify the request", "label: Sort"))
    expect(at.see("saved")).to_contain_text("rev 2")
    saved(at)

    assert stored()["steps"]["classify"]["label"] == "Sort"
    at.expect_noise("422")
    at.is_quiet()


OTHERS = "name: Order intake\nnodes:\n  - {id: 1, type: webhook}\n  - {id: 2, type: http}\nconnections: {'1': ['2']}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OTHERS, "orchestrator"),
        ("# " + "x" * 5_000_000, "1 MiB"),
        ("orchestrator: 1\nname: x\nsteps:\n  <script>document.title='x'</script>: {kind: set}\n", "is not allowed"),
    ],
    ids=["another product's", "5 MB", "a script for a key"],
)
def test_what_is_no_flow_leaves_canvas_and_draft_alone_in_the_code_tab(visit: Any, person: Any, text: str, words: str) -> None:
    at = opened(visit, person, query="?panel=code")
    code = at.page.locator("#dock-code .cm-content")
    expect(code).to_contain_text("orchestrator: 1")
    before = (at.page.evaluate("() => JSON.stringify(document.getElementById('canvas').value)"), stored())

    code.click()
    at.page.keyboard.press("Control+a")
    code.evaluate(PASTE, text)

    expect(at.page.locator("#code-status")).to_contain_text(words)
    assert (at.page.evaluate("() => JSON.stringify(document.getElementById('canvas').value)"), stored()) == before
    assert at.page.title() != "x"
    at.expect_noise("422", "413")
    at.is_quiet()


def test_a_missing_tool_and_a_script_in_a_name_are_drawn_named_and_keep_one_from_publishing(visit: Any, person: Any) -> None:
    at = opened(visit, person, query="?panel=code")
    code = at.page.locator("#dock-code .cm-content")
    expect(code).to_contain_text("orchestrator: 1")
    name, label = "<script>document.title='x'</script>", "<img src=x onerror=alert(1)>"
    step = f"steps:\n  pay:\n    kind: tool\n    label: {label}\n    with: {{tool: bank.pay}}\n"
    text = f"orchestrator: 1\nname: {name}\n{step}edges: [start -> pay]\n"

    code.click()
    at.page.keyboard.press("Control+a")
    code.evaluate(PASTE, text)
    saved(at)

    expect(at.see("node").filter(has_text=label)).to_be_visible()
    expect(at.page.locator("#flow-name")).to_have_text(name)
    at.page.locator("#tab-problems").click()
    expect(at.see("problem").first).to_contain_text("bank.pay")
    expect(at.see("publish")).to_have_attribute("aria-disabled", "true")
    assert at.page.title() != "x"
    assert at.page.locator("img[src=x]").count() == 0
    at.is_quiet()


# --- the page


def test_the_page_is_accessible_and_fits(visit: Any, person: Any) -> None:
    for phone in (False, True):
        at = opened(visit, person, phone=phone, query="?node=classify&panel=problems")
        at.is_accessible()
        if phone:
            at.fits()
        at.is_quiet()


def test_a_flow_wider_than_the_canvas_opens_at_its_start(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=(DEMO_FLOWS / "contract_check.yaml").read_text(encoding="utf-8"))
    in_sight = """() => {
        const box = (name) => document.querySelector(name)?.getBoundingClientRect()
        const start = box("[data-testid=node][data-path=start]"), ground = box(".fc-ground")
        const beside = start && start.left - ground.left
        return start && beside >= 0 && beside < ground.width / 4 && start.top > ground.top && start.bottom < ground.bottom
    }"""

    at.page.wait_for_load_state("networkidle")  # what is heard of the steps after the first look moves them

    at.page.wait_for_function(in_sight)


def test_on_a_phone_the_outline_is_first_and_a_step_opens_as_a_sheet(visit: Any, person: Any) -> None:
    at = opened(visit, person, phone=True)
    expect(at.page.locator("flow-outline")).to_be_visible()
    expect(at.page.locator("#inspector")).to_be_hidden()

    at.page.locator("flow-outline [role=treeitem]").first.dblclick()

    expect(at.page.locator("#inspector")).to_be_visible()
    at.page.get_by_role("button", name="Close the inspector").click()
    expect(at.page.locator("#inspector")).to_be_hidden()


def test_an_empty_flow_shows_four_ways_to_begin(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=EMPTY)
    starts = at.see("starts")
    expect(starts.locator("li")).to_have_count(4)
    at.is_accessible()

    starts.get_by_role("button", name="Add the first step").click()
    at.page.keyboard.type("model")
    at.page.keyboard.press("Enter")

    expect(starts).to_be_hidden()
    expect(at.page.locator("#inspector")).to_contain_text("Ask a model")
    saved(at)
    assert stored()["edges"] == ["start -> model"]


def test_who_builds_elsewhere_reads_and_may_make_a_copy(visit: Any, person: Any) -> None:
    make_flow("refund", document=REFUND, team=make_team("ours"))
    elsewhere = make_person("builder", username="elsewhere", team=make_team("theirs"))
    Membership.objects.create(person=elsewhere, role="viewer", team=None)
    at = visit(as_=elsewhere)
    at.go("/flows/refund/edit")

    expect(at.see("builder-palette")).to_be_hidden()
    expect(field(at, "/name")).to_be_disabled()
    at.is_accessible()
    at.see("make-copy").click()

    at.page.wait_for_url("**/flows/refund-copy/edit")
    expect(field(at, "/name")).to_be_enabled()
