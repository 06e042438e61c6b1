"""Flows made in the builder from nothing, as people make them: by keyboard, by clicks, together, and from the first page to the bill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import expect

from flows.engine.document import parse_document
from flows.models import Flow, ToolEntry
from tests.browser.test_journey import House, a_house, amount
from tests.browser.workbench import EMPTY, PASTE, REFUND, choose, field, fill_catalogue, opened, saved, stored
from tests.execution.conftest import Drive, drive, models_loaded
from tests.makers import make_flow

__all__ = ["drive", "models_loaded"]


@pytest.fixture
def catalogue(site: Any) -> None:
    fill_catalogue()


@pytest.fixture
def engine(catalogue: None, drive: Drive) -> None:
    """An engine carries out what is started."""
    ToolEntry.objects.update(settings={"method": "POST", "url": "http://127.0.0.1:9/"})
    drive()


def value(at: Any) -> Any:
    return at.page.evaluate("() => document.getElementById('canvas').value")


def inserted(at: Any, path: str, port: str, kind: str) -> None:
    """A step behind a port, by clicks and the menu's search."""
    at.page.locator(f'.fc-node[data-path="{path}"] .fc-port[data-port="{port}"]').click()
    at.page.keyboard.type(kind)
    at.page.keyboard.press("Enter")


def shown(at: Any, place: str) -> None:
    """The form of the step at this place is loaded."""
    expect(at.page.locator("#inspector-form")).to_have_attribute("data-place", place)


def named(at: Any, name: str, key: str) -> None:
    """Names the step whose form is open; its key follows."""
    field(at, "/label").fill(name)
    field(at, "/label").press("Tab")
    expect(at.page.locator("#f-key")).to_have_value(key)


def published(at: Any, note: str = "First") -> None:
    saved(at)
    at.see("publish").click()
    at.page.get_by_label("What is new").fill(note)
    at.see("publish-now").click()
    at.page.wait_for_url("**tab=versions")


# --- three nodes


def test_BLD_1_three_steps_are_built_tested_and_published_by_the_keyboard_alone(engine: None, visit: Any, person: Any) -> None:
    """Only keys are pressed: nothing puts the focus anywhere for them."""
    at = opened(visit, person, document=EMPTY)
    page, press, write = at.page, at.page.keyboard.press, at.page.keyboard.type

    tabbed(at, at.see("starts").get_by_role("button", name="Add the first step"), most=60)
    press("Enter")
    write("set")
    press("Enter")
    expect(field(at, "/label")).to_be_focused()
    write("Begin")
    press("Escape")
    expect(face(at, "begin")).to_be_focused()
    for before, kind in (("begin", "wait"), ("wait", "model")):
        expect(face(at, before)).to_be_focused()
        press("n")
        write(kind)
        press("Enter")
        expect(face(at, kind)).to_be_focused()
    press("ArrowLeft")
    press("Enter")
    expect(field(at, "/label")).to_be_focused()
    shown(at, "steps wait")
    tabbed(at, field(at, "/with/for"))
    press("Control+a")
    write("1s")
    press("Escape")
    press("ArrowRight")
    press("Enter")
    shown(at, "steps model")
    expect(field(at, "/label")).to_be_focused()
    tabbed(at, page.locator('#inspector [data-field="/with/prompt"] .cm-content'), within="code-field")
    write("Say hello")
    saved(at)
    assert stored()["edges"] == ["start -> begin", "begin -> wait", "wait -> model"]
    assert stored()["steps"]["model"]["with"]["prompt"] == "Say hello"

    press("Escape")
    expect(face(at, "model")).to_be_focused()
    made_live_by_keys(at)
    assert Flow.objects.get(slug="refund").published is not None
    at.is_quiet()


def made_live_by_keys(at: Any) -> None:
    page, press = at.page, at.page.keyboard.press
    press("t")
    tabbed(at, at.see("test-draft"))
    press("Enter")
    expect(page.locator("#test-result[data-ended][data-state=succeeded]")).to_be_attached(timeout=20_000)
    press("Escape")
    expect(at.see("tests")).to_be_hidden()
    press("v")
    page.wait_for_url("**/publication")
    tabbed(at, page.get_by_label("What is new"), most=60)
    press("Control+a")
    page.keyboard.type("By hand")
    tabbed(at, at.see("publish-now"))
    press("Enter")
    page.wait_for_url("**tab=versions")


def tabbed(at: Any, wanted: Any, most: int = 25, within: str = "") -> None:
    """Tab is pressed until this has the focus, not more often than a person would."""
    holder = "(name ? element.getRootNode().host?.closest(name) ?? element.closest(name) : element)"
    reached = f"(element, name) => {holder}.matches(':focus, :focus-within')"
    for _ in range(most):
        if wanted.evaluate(reached, within):
            return
        at.page.keyboard.press("Tab")
    raise AssertionError(f"not reached with {most} times Tab, but {at.page.evaluate('document.activeElement.outerHTML')[:300]}")


def face(at: Any, path: str) -> Any:
    return at.page.locator(f'.fc-node[data-path="{path}"] .fc-face')


@pytest.mark.usefixtures("engine")
def test_BLD_2_three_steps_are_built_tested_and_published_by_clicks_alone(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=EMPTY)
    palette = at.see("builder-palette")
    at.see("starts").get_by_role("button", name="Add the first step").click()

    palette.get_by_role("button", name="Set values").click()
    shown(at, "steps set")
    palette.get_by_role("button", name="Wait").click()
    shown(at, "steps wait")
    palette.get_by_role("button", name="mail.send").click()
    shown(at, "steps tool")
    field(at, "/with/arguments/amount").fill("5")
    saved(at)

    assert stored()["edges"] == ["start -> set", "set -> wait", "wait -> tool"]
    assert stored()["steps"]["tool"]["with"] == {"tool": "mail.send", "arguments": {"amount": 5}}
    at.see("test").click()
    at.see("test-draft").click()
    expect(at.page.locator("#test-result[data-ended][data-state=succeeded]")).to_be_attached(timeout=20_000)
    published(at)
    at.is_quiet()


@pytest.mark.usefixtures("catalogue")
def test_BLD_5_thirty_edits_thirty_back_and_thirty_forth(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    first = value(at)
    edits = """() => {
      const canvas = document.getElementById("canvas")
      for (let round = 0; round < 6; round++) {
        const path = canvas.add(["set", "model", "wait"][round % 3], undefined)
        canvas.set(path, ["label"], `Step ${round}`)
        canvas.rename(path, `step_${round}`)
        canvas.model.move([`step_${round}`], 40, 8)
        round % 2 ? canvas.remove([`step_${round}`]) : canvas.layout()
      }
      return canvas.value
    }"""
    last = at.page.evaluate(edits)
    assert last != first

    for _ in range(30):
        at.page.locator("[data-undo]").click()
    assert value(at) == first
    expect(at.page.locator("[data-undo]")).to_be_disabled()
    for _ in range(30):
        at.page.locator("[data-redo]").click()

    assert value(at) == last
    saved(at)
    assert stored() == parse_document(json.dumps(last)).as_json()


# --- what a new step begins with


@pytest.mark.usefixtures("catalogue")
def test_a_new_model_step_has_a_route_and_room_for_its_answers_fields(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=EMPTY)
    at.page.get_by_label("Find a step to add").fill("model")
    at.page.keyboard.press("Enter")
    shown(at, "steps model")

    expect(field(at, "/with/route")).to_have_value("balanced")
    expect(at.page.get_by_label("Find a step to add")).to_have_value("")
    rows = field(at, "/with/output")
    rows.get_by_role("button", name="Add a field").click()
    at.page.keyboard.type("topic")
    rows.locator("[data-type]").select_option(label="a choice")
    rows.locator("[data-choices]").fill("refund, other")
    rows.get_by_label("required").check()
    saved(at)

    assert stored()["steps"]["model"]["with"]["output"] == {
        "type": "object",
        "required": ["topic"],
        "properties": {"topic": {"type": "string", "enum": ["refund", "other"]}},
    }
    at.is_accessible()


@pytest.mark.usefixtures("catalogue")
def test_a_key_that_was_chosen_stays_when_the_name_changes(visit: Any, person: Any) -> None:
    at = opened(visit, person)
    choose(at, "classify")

    field(at, "/label").fill("Something else")
    field(at, "/label").press("Tab")
    saved(at)

    assert stored()["steps"]["classify"]["label"] == "Something else"


@pytest.mark.usefixtures("catalogue")
def test_the_steps_of_a_failing_run_are_made_in_the_flows_form_and_on_the_canvas(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=EMPTY)
    page = at.page
    page.locator("summary", has_text="When a run fails").click()

    for name in ("Tell us", "Note it"):
        page.get_by_label("Kind of step").select_option(label="Call a tool")
        page.locator("[data-handler-add]").click()
        expect(field(at, "/label")).to_be_focused()
        named(at, name, name.lower().replace(" ", "_"))
        field(at, "/with/tool").select_option("mail.send")
        field(at, "/with/arguments/reason").fill("{{ error.message }}")
        page.get_by_role("button", name="The flow").click()
    expect(at.see("handler").locator("li")).to_have_count(2)
    expect(face(at, "error")).to_have_accessible_name("When a run fails Error handler")
    expect(page.locator(".fc-edge")).to_have_count(2)
    at.is_accessible()
    saved(at)
    assert stored()["on_error"]["edges"] == ["start -> tell_us", "tell_us -> note_it"]
    assert stored()["on_error"]["steps"]["note_it"]["with"]["arguments"] == {"reason": "{{ error.message }}"}

    face(at, "error").focus()
    page.keyboard.press("e")
    page.keyboard.type("wait")
    page.keyboard.press("Enter")
    shown(at, "on_error steps wait")
    expect(face(at, "error.wait")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    shown(at, "on_error steps note_it")
    named(at, "Note", "note_it")
    saved(at)
    assert stored()["on_error"]["edges"][2] == "note_it -> wait"
    assert stored()["on_error"]["steps"]["note_it"]["label"] == "Note"

    tool = at.see("builder-palette").locator('[data-tool="mail.send"]')
    page.evaluate("() => document.getElementById('canvas').fit()")
    frame = face(at, "error").locator("xpath=..").bounding_box()
    tool.drag_to(page.locator("#canvas"), target_position=inside(page, frame["x"] + 60, frame["y"] + frame["height"] - 16))
    shown(at, "on_error steps tool")
    saved(at)
    assert stored()["on_error"]["steps"]["tool"]["with"]["tool"] == "mail.send"
    page.locator("[data-undo]").click()
    expect(face(at, "error.tool")).to_have_count(0)

    face(at, "error").click()
    for name in ("Tell us", "Note", "Wait"):
        page.get_by_role("button", name=f"Remove {name}").click()
    expect(at.see("handler")).to_have_count(0)
    expect(face(at, "error")).to_have_count(0)
    saved(at)
    assert "on_error" not in stored()
    at.is_quiet()


def inside(page: Any, x: float, y: float) -> dict[str, float]:
    """A point of the window as the canvas counts it."""
    box = page.locator("#canvas").bounding_box()
    return {"x": x - box["x"], "y": y - box["y"]}


@pytest.mark.usefixtures("catalogue")
def test_another_flow_is_chosen_from_a_list_and_given_what_it_asks_for(visit: Any, person: Any) -> None:
    make_flow("weekly", document=REFUND)
    at = opened(visit, person, document=EMPTY)
    at.see("builder-palette").get_by_role("button", name="Run a flow").click()
    shown(at, "steps subflow")

    field(at, "/with/flow").select_option("weekly")
    field(at, "/with/input/message").fill("Too late")
    field(at, "/with/input/amount").fill("12.5")
    saved(at)

    assert stored()["steps"]["subflow"]["with"] == {"flow": "weekly", "input": {"message": "Too late", "amount": 12.5}}
    assert field(at, "/with/flow").locator("option").evaluate_all("all => all.map(each => each.value).filter(Boolean)") == [
        "weekly"
    ]


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize(("kind", "start"), [("map", "For each"), ("repeat", "Repeat")])
def test_a_frame_takes_steps_into_its_body(visit: Any, person: Any, kind: str, start: str) -> None:
    at = opened(visit, person, document=EMPTY)
    at.see("builder-palette").get_by_role("button", name=start).click()
    shown(at, f"steps {kind}")

    inserted(at, f"{kind}.start", "done", "set")
    shown(at, f"steps {kind} with body steps set")
    inserted(at, f"{kind}.set", "done", "wait")
    shown(at, f"steps {kind} with body steps wait")
    saved(at)

    assert stored()["steps"][kind]["with"]["body"]["edges"] == ["start -> set", "set -> wait"]
    at.is_quiet()


# --- other ways to begin


@pytest.mark.usefixtures("catalogue")
def test_a_template_fills_the_empty_draft(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=EMPTY)
    at.see("starts").get_by_role("link", name="Start from a template").click()
    expect(at.see("filling")).to_contain_text("refund")
    at.see("use").first.click()
    at.see("use-now").wait_for()
    at.is_accessible()

    at.see("use-now").click()

    at.page.wait_for_url("**/flows/refund/edit")
    assert stored()["steps"]
    assert stored()["name"] == Flow.objects.get(slug="refund").name
    assert Flow.objects.count() == 1


@pytest.mark.usefixtures("catalogue")
def test_a_file_fills_the_empty_draft(visit: Any, person: Any) -> None:
    at = opened(visit, person, document=EMPTY)
    at.see("starts").get_by_role("link", name="Import a file").click()
    file = {"name": "flow.yaml", "mimeType": "application/yaml", "buffer": REFUND.encode()}
    at.page.get_by_label("File", exact=True).set_input_files([file])  # type: ignore[list-item]
    at.see("check").click()
    at.see("import-now").click()

    at.page.wait_for_url("**/flows/refund/edit")
    assert stored() == parse_document(REFUND).as_json()


@pytest.mark.usefixtures("catalogue")
def test_a_text_that_cannot_be_read_yet_survives_a_reload(visit: Any, person: Any) -> None:
    at = opened(visit, person, query="?panel=code")
    expect(at.page.locator("#dock-code .cm-content")).to_contain_text("orchestrator: 1")
    at.page.locator("#dock-code .cm-content").click()
    at.page.keyboard.press("Control+a")
    at.page.locator("#dock-code .cm-content").evaluate(PASTE, "steps: [half a thought")
    expect(at.page.locator("#code-status")).to_contain_text("The canvas keeps the last flow")

    at.page.reload()

    expect(at.see("code")).to_have_value("steps: [half a thought")
    expect(at.page.locator("#code-status")).to_contain_text("The canvas keeps the last flow")
    assert stored() == parse_document(REFUND).as_json()


@pytest.mark.usefixtures("catalogue")
def test_steps_are_copied_from_one_flow_to_another(visit: Any, person: Any) -> None:
    make_flow("other", document=EMPTY)
    at = opened(visit, person)
    at.context.grant_permissions(["clipboard-read", "clipboard-write"])
    at.page.evaluate("() => document.getElementById('canvas').select(['classify', 'approve'])")
    at.page.evaluate("() => document.getElementById('canvas').copy()")
    text = at.page.evaluate("() => navigator.clipboard.readText()")

    at.go("/flows/other/edit")
    expect(at.page.locator("#builder[data-ready]")).to_be_attached()
    at.page.evaluate("text => document.getElementById('canvas').paste(text)", text)
    expect(at.see("starts")).to_be_hidden()
    saved(at)

    pasted = parse_document(Flow.objects.get(slug="other").draft).as_json()
    assert pasted["steps"]["classify"] == stored()["steps"]["classify"]


# --- the whole way


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Without the demonstration's runs: the one request is the one that is asked here."""
    with a_house("--no-runs") as home:
        yield home


@pytest.mark.slow
def test_support_triage_with_approval_from_an_empty_canvas_to_its_bill(house: House, visit: Any) -> None:
    builder = visit()
    builder.site = house
    builder.sign_in("builder", house.passwords["builder"])
    builder.page.get_by_role("link", name="Flows", exact=True).first.click()
    builder.page.get_by_text("New flow").click()
    builder.see("new-blank").click()
    builder.page.keyboard.type("Support triage with approval")
    builder.see("create").click()
    expect(builder.page.locator("#builder[data-ready]")).to_be_attached()

    made_of_clicks_and_words(builder)
    published(builder)
    run = started(builder)
    decided(visit(), house)

    expect(builder.see("run-head")).to_have_attribute("data-state", "succeeded")
    assert amount(builder.see("run-head").get_by_test_id("run-cost")) > Decimal(0)
    assert run in builder.path
    builder.is_quiet()


def made_of_clicks_and_words(at: Any) -> None:
    """Classify, branch, approve, send; and where the sending fails, notify."""
    page = at.page
    asked = page.locator('#inspector [data-at="/input"]')
    asked.get_by_role("button", name="Add a field").click()
    page.keyboard.type("message")
    asked.locator("[data-type]").select_option(label="text")
    asked.get_by_label("required").check()

    at.see("starts").get_by_role("button", name="Add the first step").click()
    page.keyboard.type("model")
    page.keyboard.press("Enter")
    expect(field(at, "/label")).to_be_focused()
    named(at, "Classify", "classify")
    page.locator('#inspector [data-field="/with/prompt"] .cm-content').click()
    page.keyboard.type("What is this about? {{ input.message }}")
    page.keyboard.press("Escape")
    rows = field(at, "/with/output")
    rows.get_by_role("button", name="Add a field").click()
    page.keyboard.type("topic")
    rows.locator("[data-type]").select_option(label="a choice")
    rows.locator("[data-choices]").fill("refund, other")
    rows.get_by_label("required").check()

    inserted(at, "classify", "done", "branch")
    shown(at, "steps branch")
    field(at, "/with/cases/0/when").fill('steps.classify.output.topic != ""')
    inserted(at, "branch", "yes", "approval")
    shown(at, "steps approval")
    named(at, "Agree", "agree")
    field(at, "/with/title").fill("Answer {{ input.message }}?")
    page.locator("#inspector").get_by_label("Finance").check()
    inserted(at, "agree", "approve", "tool")
    shown(at, "steps tool")
    named(at, "Answer", "answer")
    field(at, "/with/tool").select_option("mail.send")
    field(at, "/with/arguments/text").fill("Thank you for {{ input.message }}")
    inserted(at, "answer", "error", "tool")
    shown(at, "steps tool")
    named(at, "Notify", "notify")
    field(at, "/with/tool").select_option("mail.send")
    field(at, "/with/arguments/text").fill("It failed: {{ error.message }}")
    expect(at.page.locator("[data-problem-count]")).to_be_empty(timeout=8000)


def started(at: Any) -> str:
    at.see("run").click()
    at.page.get_by_label("message").fill("A broken kettle")
    at.see("start").click()
    at.page.wait_for_url("**/runs/run_*")
    expect(at.see("run-head")).to_have_attribute("data-state", "waiting_approval")
    found: str = at.path.partition("?")[0]
    return found


def decided(approver: Any, house: House) -> None:
    approver.site = house
    approver.sign_in("approver-1", house.passwords["approver-1"])
    approver.go("/approvals")
    approver.see("approval-row").get_by_role("link").click()
    approver.see("approve").click()
    expect(approver.see("decided-text")).to_contain_text("Approved by")
