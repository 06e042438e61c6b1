"""The canvas and the outline, as people use them: each of the checks that any canvas must pass, on the page that shows it alone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

PAGE = "/internal/components/canvas"
LISTEN = """() => { window.told = []
  for (const name of ["change", "select", "open", "refused"])
    document.querySelector("flow-canvas").addEventListener(name, event => window.told.push([name, event.detail])) }"""


class Canvas:
    """One visit to the page, by the words of a test."""

    def __init__(self, visit: Any, flow: str, query: str = "") -> None:
        self.visit, self.page = visit, visit.page
        visit.go(f"{PAGE}?flow={flow}{query}")
        expect(visit.see("node").first).to_be_attached()
        self.page.evaluate(LISTEN)

    def node(self, path: str) -> Any:
        return self.page.locator(f'.fc-node[data-path="{path}"]')

    def face(self, path: str) -> Any:
        return self.node(path).locator(".fc-face")

    def port(self, path: str, name: str) -> Any:
        return self.node(path).locator(f'[data-port="{name}"]')

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        """Into the open menu, and takes the first that it offers."""
        self.page.keyboard.type(text)
        self.press("Enter")

    def told(self, name: str) -> list[Any]:
        found: list[Any] = self.page.evaluate(
            "name => window.told.filter(([each]) => each === name).map(([, detail]) => detail)", name
        )
        return found

    def do(self, act: str, *arguments: Any) -> Any:
        return self.page.evaluate(f"async args => await document.querySelector('flow-canvas').{act}(...args)", list(arguments))

    def get(self, words: str) -> Any:
        return self.page.evaluate(f"() => document.querySelector('flow-canvas').{words}")

    @property
    def doc(self) -> Any:
        return self.get("value")

    def middle(self, locator: Any) -> tuple[float, float]:
        box = locator.bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
        mouse.move(*end, steps=4)
        mouse.up()


@pytest.fixture
def canvas(visit: Any, person: Any) -> Any:
    def show(flow: str = "refund", query: str = "", **options: Any) -> Canvas:
        return Canvas(visit(as_=person("owner"), **options), flow, query)

    return show


def test_a_drag_moves_a_node_and_is_one_change(canvas: Any) -> None:
    it = canvas()
    x, y = it.middle(it.face("notify"))
    before = it.node("notify").bounding_box()

    it.drag((x, y), (x + 80, y + 64))

    (change,) = it.told("change")
    assert change["why"] == "Move Notify"
    assert change["doc"]["layout"]["notify"]
    assert it.get("selection") == ["notify"]
    it.page.wait_for_timeout(100)
    after = it.node("notify").bounding_box()
    assert after["x"] > before["x"] + 40
    assert after["y"] > before["y"] + 40
    it.visit.is_quiet()


def test_it_connects_by_a_drag_and_refuses_with_the_reason(canvas: Any) -> None:
    it = canvas()

    it.drag(it.middle(it.port("decide", "other")), it.middle(it.face("notify")))
    assert "decide.other -> notify" in it.doc["edges"]

    it.drag(it.middle(it.port("notify", "done")), it.middle(it.face("classify")))
    assert "notify -> classify" not in it.doc["edges"]
    expect(it.visit.see("canvas-note")).to_contain_text("That would make a circle")
    assert "circle" in it.told("refused")[0]["message"]
    assert len(it.told("change")) == 1
    it.visit.is_quiet()


def test_what_cannot_be_led_to_dims_while_connecting(canvas: Any) -> None:
    it = canvas()
    start, end = it.middle(it.port("decide", "other")), it.middle(it.face("classify"))
    it.page.mouse.move(*start)
    it.page.mouse.down()
    it.page.mouse.move(*end, steps=5)

    expect(it.node("classify")).to_contain_class("cannot")
    expect(it.node("notify")).not_to_contain_class("cannot")
    expect(it.visit.see("canvas-note")).to_contain_text("circle")
    it.page.mouse.up()
    expect(it.node("classify")).not_to_contain_class("cannot")
    assert it.told("change") == []


def test_deleting_heals_the_gap_and_takes_the_edges_along(canvas: Any) -> None:
    it = canvas()
    it.face("approve").click()

    it.press("Delete")

    assert "approve" not in it.doc["steps"]
    assert "decide.large -> refund" in it.doc["edges"]
    expect(it.node("approve")).to_have_count(0)
    expect(it.face("decide")).to_be_focused()


def test_three_steps_back_and_one_forth(canvas: Any) -> None:
    it = canvas()
    first = it.doc
    it.face("decide").click()
    it.press("Shift+ArrowDown", "Delete", "Control+a", "Delete")
    assert it.doc["steps"] == {}

    it.press("Control+z", "Control+z", "Control+z")
    assert it.doc == first
    it.press("Control+y")
    assert it.doc["layout"]["decide"]
    it.visit.is_quiet()


def test_a_box_selects_and_the_keyboard_copies_across_flows(canvas: Any) -> None:
    it = canvas()
    it.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first, last = it.node("decide").bounding_box(), it.node("refund").bounding_box()
    top = it.node("approve").bounding_box()["y"] - 20
    it.page.keyboard.down("Shift")
    it.drag((first["x"] - 16, top), (last["x"] + last["width"] + 16, first["y"] + first["height"] - 4))
    it.page.keyboard.up("Shift")
    assert sorted(it.get("selection")) == ["approve", "decide", "refund"]

    it.face("decide").focus()
    it.press("Control+c")
    expect(it.visit.see("canvas-note")).to_have_text("Copied 3 steps.")
    text = it.page.evaluate("() => navigator.clipboard.readText()")
    assert "approve.approve -> refund" in text
    it.press("Control+v")
    expect(it.node("approve_2")).to_be_visible()
    assert "decide_2.large -> approve_2" in it.doc["edges"]
    assert it.doc["steps"]["approve_2"]["with"]["seals"] == "refund_2"

    other = Canvas(it.visit, "empty")
    other.face("start").focus()
    other.press("Control+v")
    expect(other.node("approve")).to_be_visible()
    assert sorted(other.doc["steps"]) == ["approve", "decide", "refund"]
    it.visit.is_quiet()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: workflow\nnodes: []\nconnections: {}\n", "it has no `steps`"),
        ("a: [", "This is no YAML"),
        ("x" * 5_000_000, "5.0 MB"),
        ("steps: {'<script>alert(1)</script>': {kind: set}}", "cannot be the key"),
        ("steps: &a {x: {kind: set}}\nmore: *a", "anchors"),
        ("", "no text"),
    ],
    ids=["another product's", "broken", "large", "script", "anchors", "empty"],
)
def test_what_is_no_flow_is_refused_when_pasted(canvas: Any, text: str, words: str) -> None:
    it = canvas()
    before = it.doc

    assert it.do("paste", text) == []

    expect(it.visit.see("canvas-note")).to_contain_text(words)
    assert it.doc == before
    assert it.told("change") == []
    it.visit.is_quiet()


def test_a_name_with_markup_is_shown_as_text(canvas: Any) -> None:
    it = canvas()

    (path,) = it.do("paste", "steps: {a: {kind: set, label: '<img src=x onerror=alert(1)>'}}")

    expect(it.node(path).locator(".fc-title")).to_have_text("<img src=x onerror=alert(1)>")
    expect(it.page.locator("flow-canvas img")).to_have_count(0)
    it.visit.is_quiet()


def test_the_keyboard_walks_inserts_links_and_opens(canvas: Any) -> None:
    it = canvas("empty")
    it.face("start").focus()
    for kind in ("Ask a model", "Branch"):
        it.press("n")
        it.type(kind)
    assert it.doc["edges"] == ["start -> model", "model -> branch"]
    expect(it.face("branch")).to_be_focused()

    it.press("n")
    expect(it.page.get_by_role("radio", name="yes")).to_be_checked()
    it.press("Shift+Tab", "ArrowRight", "Tab")
    it.type("Call a tool")
    assert "branch.no -> tool" in it.doc["edges"]

    it.press("ArrowLeft", "ArrowLeft")
    expect(it.face("model")).to_be_focused()
    it.press("l")
    it.type("tool")
    assert "model.error -> tool" in it.doc["edges"] or "model -> tool" in it.doc["edges"]
    expect(it.face("model")).to_be_focused()

    it.press("Enter")
    assert it.told("open") == [{"path": "model"}]
    it.visit.is_quiet()


def test_a_step_between_two_others_by_the_keyboard(canvas: Any) -> None:
    it = canvas()
    it.face("classify").click()

    it.press("n")
    it.page.get_by_role("radio", name="done").click()
    it.type("wait")

    assert {"classify -> wait", "wait -> decide"} <= set(it.doc["edges"])


def test_tab_goes_on(canvas: Any) -> None:
    it = canvas()
    it.face("start").focus()

    it.press("Tab")

    assert it.page.evaluate("() => document.activeElement.closest('.fc-ground') === null")


def test_only_clicks_build_a_flow(canvas: Any) -> None:
    it = canvas("empty")
    it.port("start", "done").click()
    it.page.get_by_role("option", name="Ask a model").click()
    it.port("model", "error").click()
    it.page.get_by_role("option", name="Call a tool").click()

    assert it.doc["edges"] == ["start -> model", "model.error -> tool"]
    it.visit.is_quiet()


def test_the_wheel_zooms_at_the_pointer_a_drag_pans_and_the_view_is_remembered(canvas: Any) -> None:
    it = canvas()
    x, y = it.middle(it.face("decide"))
    before = it.get("viewport.now.zoom")
    it.page.mouse.move(x, y)
    it.page.mouse.wheel(0, -200)
    it.page.wait_for_timeout(400)
    assert it.get("viewport.now.zoom") > before
    after = it.middle(it.face("decide"))
    assert abs(after[0] - x) < 12
    assert abs(after[1] - y) < 12

    ground = it.page.locator(".fc-ground").bounding_box()
    empty = (ground["x"] + 500, ground["y"] + 60)
    at = it.node("decide").bounding_box()
    it.drag(empty, (empty[0] - 120, empty[1] + 60))
    it.page.wait_for_timeout(300)
    moved = it.node("decide").bounding_box()
    assert (round(moved["x"] - at["x"]), round(moved["y"] - at["y"])) == (-120, 60)
    assert it.told("change") == []

    it.page.reload()
    expect(it.visit.see("node").first).to_be_attached()
    it.page.wait_for_timeout(300)
    assert abs(it.node("decide").bounding_box()["x"] - moved["x"]) < 3


def test_BLD_9_a_layout_of_300_nodes_is_one_step_without_overlaps(canvas: Any) -> None:
    it = canvas("wide")
    first = it.doc
    it.do("layout")
    overlaps = it.page.evaluate(
        """() => { const nodes = [...document.querySelector("flow-canvas").model.nodes.values()]
          return nodes.flatMap(a => nodes.filter(b => a.path < b.path && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h
            && b.y < a.y + a.h).map(b => [a.path, b.path])) }"""
    )
    assert overlaps == []
    assert len(it.told("change")) == 1
    it.do("undo")
    assert it.doc == first


@pytest.mark.parametrize("zoom", [0.3, 1.5])
def test_a_large_flow_is_one_layer_drawn_at_its_own_scale(canvas: Any, zoom: float) -> None:
    """So that a pan is a shift of pixels: more layers are put together in each frame, and one drawn larger is shrunk in each."""
    it = canvas("wide")
    it.page.evaluate("zoom => { const it = document.querySelector('flow-canvas'); it.zoom(zoom / it.viewport.now.zoom) }", zoom)
    it.page.wait_for_function("zoom => document.querySelector('.fc-scaled').style.zoom == zoom", arg=zoom)
    protocol = it.page.context.new_cdp_session(it.page)
    trees: list[Any] = []
    protocol.on("LayerTree.layerTreeDidChange", lambda event: trees.append(event.get("layers", [])))

    protocol.send("LayerTree.enable")
    it.do("viewport.nudge", 8, 8)
    it.page.wait_for_timeout(500)

    sheet = it.page.evaluate(
        "() => { const { width, height } = document.querySelector('.fc-sheet').style; return [width, height] }"
    )
    drawn = [(f"{layer['width']:.0f}px", f"{layer['height']:.0f}px") for layer in trees[-1] if layer["drawsContent"]]
    assert tuple(sheet) in drawn
    assert len(drawn) <= 12


def test_the_icon_of_a_chosen_step_stays_in_sight(canvas: Any) -> None:
    it = canvas("refund")

    it.face("approve").click()

    raised = it.node("approve").evaluate("node => Number(getComputedStyle(node).zIndex)")
    icons = it.page.locator(".fc-glyphs").evaluate("icons => Number(getComputedStyle(icons).zIndex)")
    assert icons >= raised > 0  # and they come later in the document
    box, face = (
        it.page.locator(place).bounding_box() for place in ('.fc-glyph[data-icon="hand"]', '[data-path="approve"] .fc-face')
    )
    assert face["x"] < box["x"] < face["x"] + 40


def test_an_edge_is_chosen_by_a_click_and_deleted_by_the_keyboard(canvas: Any) -> None:
    it = canvas()
    edge = it.page.locator('.fc-edge[data-edge="|classify.error -> notify"] .fc-line-path')
    x, y = edge.evaluate(
        """path => { const at = path.getPointAtLength(path.getTotalLength() * 0.8).matrixTransform(path.getScreenCTM())
          return [at.x, at.y] }"""
    )
    it.page.mouse.click(x, y)
    expect(it.page.locator(".fc-edge.is-selected")).to_have_count(1)

    it.press("Delete")

    assert "classify.error -> notify" not in it.doc["edges"]
    assert "notify" in it.doc["steps"]


def test_readonly_shows_and_selects_and_nothing_more(canvas: Any) -> None:
    it = canvas("refund", "&readonly=1")
    before = it.doc
    x, y = it.middle(it.face("decide"))
    it.drag((x, y), (x + 90, y + 90))
    it.face("decide").click()
    it.press("Delete", "n", "Control+d", "Shift+ArrowDown")

    assert it.doc == before
    assert it.get("selection") == ["decide"]
    assert it.told("change") == []
    expect(it.visit.see("canvas-menu").first).to_be_hidden()
    it.visit.is_accessible()


def test_states_facts_and_problems_are_on_the_nodes(canvas: Any) -> None:
    it = canvas()
    it.page.evaluate(
        """() => { const canvas = document.querySelector("flow-canvas")
          canvas.setStatus("classify", "succeeded")
          canvas.setFacts({classify: {badges: {fallbacks: 2, pin: true}, types: {done: "object {topic}"}}})
          canvas.problems = [{path: "steps.notify.with.tool", severity: "error", message: "No such tool"}] }"""
    )

    expect(it.node("classify")).to_have_attribute("data-state", "succeeded")
    expect(it.face("classify")).to_have_accessible_name(
        "Classify the request balanced Ask a model, tried up to 3 times, 2 fallbacks, at most $0.05, pinned sample, Succeeded"
    )
    expect(it.port("classify", "done")).to_have_attribute("title", "done: object {topic}")
    expect(it.face("notify")).to_have_accessible_name("Notify mail.send Call a tool, 1 problem")
    it.visit.is_accessible()
    it.visit.is_quiet()


def test_it_survives_being_taken_out_and_put_back(canvas: Any) -> None:
    it = canvas()
    it.face("decide").click()
    it.page.evaluate(
        """() => { const canvas = document.querySelector("flow-canvas"), home = canvas.parentNode
          canvas.remove(); canvas.setStatus("decide", "failed"); home.prepend(canvas) }"""
    )

    expect(it.node("decide")).to_have_attribute("data-state", "failed")
    x, y = it.middle(it.face("notify"))
    it.drag((x, y), (x + 60, y + 60))
    assert len(it.told("change")) == 1
    it.visit.is_quiet()


def test_forms_and_the_canvas_share_one_history(canvas: Any) -> None:
    it = canvas()
    first = it.doc
    it.page.evaluate(
        """() => { const canvas = document.querySelector("flow-canvas")
          for (const text of ["S", "So", "Sort"]) canvas.set("classify", "/with/prompt", text) }"""
    )
    assert it.do("rename", "classify", "sort") == ""
    assert it.doc["edges"][0] == "start -> sort"
    expect(it.node("sort")).to_be_visible()

    it.do("undo")
    assert it.doc["steps"]["classify"]["with"]["prompt"] == "Sort"
    it.do("undo")
    assert it.doc == first


def test_what_is_dropped_in_a_frame_is_in_its_body(canvas: Any) -> None:
    it = canvas("nested")
    frame = it.node("each").bounding_box()

    path = it.do("add", "set", {"x": frame["x"] + 60, "y": frame["y"] + frame["height"] - 20})

    assert path == "each.set"
    assert "set" in it.doc["steps"]["each"]["with"]["body"]["steps"]


def test_a_finger_drags_connects_and_two_pinch(canvas: Any) -> None:
    it = canvas(phone=True)
    it.page.evaluate("() => document.querySelector('flow-canvas').viewport.zooming.setViewport({x: -440, y: 160, zoom: 1})")
    it.page.wait_for_timeout(300)
    session = it.page.context.new_cdp_session(it.page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": at} for at, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    x, y = it.middle(it.face("notify"))
    touch("touchStart", (x, y))
    for step in range(1, 9):
        touch("touchMove", (x, y + step * 6))
    touch("touchEnd")
    assert [change["why"] for change in it.told("change")] == ["Move Notify"]

    start, end = it.middle(it.port("decide", "other").locator(".fc-dot")), it.middle(it.face("notify"))
    touch("touchStart", start)
    for step in range(1, 9):
        touch("touchMove", (start[0] + (end[0] - start[0]) * step / 8, start[1] + (end[1] - start[1]) * step / 8))
    touch("touchEnd")
    assert "decide.other -> notify" in it.doc["edges"]

    before = it.get("viewport.now.zoom")
    ground = it.page.locator(".fc-ground").bounding_box()
    x, y = ground["x"] + 170, ground["y"] + 40
    touch("touchStart", (x - 30, y), (x + 30, y))
    for step in range(1, 9):
        touch("touchMove", (x - 30 - step * 6, y), (x + 30 + step * 6, y))
    touch("touchEnd")
    assert it.get("viewport.now.zoom") > before * 1.3
    it.visit.fits()


def test_BLD_11_the_outline_names_every_node_with_kind_and_problems(canvas: Any) -> None:
    it = canvas("nested")
    it.page.evaluate(
        """() => { document.querySelector("flow-canvas").problems =
          [{path: "steps.each.with.body.steps.send", severity: "error", message: "No such tool"}] }"""
    )

    tree = it.page.get_by_role("tree")
    expect(tree.get_by_role("treeitem")).to_have_count(8)
    nodes = it.page.evaluate(
        """() => { const { model } = document.querySelector("flow-canvas")
          const steps = [...model.nodes.values()].filter(node => !node.start)
          return steps.map(({ path }) => [path, model.title(path), model.kindAt(path).label]) }"""
    )
    for path, title, kind in nodes:
        expect(tree.locator(f'[data-path="{path}"]')).to_have_accessible_name(
            re.compile(f"^{re.escape(title)} .*{re.escape(kind)}")
        )
    expect(tree.get_by_role("treeitem", name="Send Call a tool · mail.send 1 problem, No such tool")).to_be_visible()
    expect(tree.locator('[data-path="each.polish.draft"]')).to_have_attribute("aria-level", "3")
    it.visit.is_accessible()
    it.visit.is_quiet()


def test_the_outline_edits_by_keyboard_alone(canvas: Any) -> None:
    it = canvas("empty")
    item = it.page.get_by_role("treeitem")
    it.page.locator(".fo-acts").get_by_role("button", name="Add a step after this one").press("Enter")
    it.type("For each")
    expect(item.first).to_be_focused()

    it.press("n")
    it.type("Call a tool")
    assert list(it.doc["steps"]["map"]["with"]["body"]["steps"]) == ["tool"]

    it.press("m")
    it.type("Out")
    assert sorted(it.doc["steps"]) == ["map", "tool"]

    it.press("F2")
    it.type("Post it")
    assert it.doc["steps"]["tool"]["label"] == "Post it"
    expect(item.filter(has_text="Post it")).to_be_focused()

    it.press("Home", "l")
    it.type("Post")
    assert "map -> tool" in it.doc["edges"]

    it.press("End", "Delete")
    assert list(it.doc["steps"]) == ["map"]
    it.press("Control+z")
    assert sorted(it.doc["steps"]) == ["map", "tool"]

    it.press("e")
    it.type("Call a tool")
    expect(it.page.locator('[data-path="error.tool_2"]').last).to_be_focused()
    it.press("n")
    it.type("Wait")
    it.press("F2")
    it.type("Cool down")
    assert it.doc["on_error"]["edges"] == ["start -> tool_2", "tool_2 -> wait"]
    assert it.doc["on_error"]["steps"]["wait"]["label"] == "Cool down"
    expect(item.filter(has_text="When a run fails")).to_have_attribute("aria-level", "1")
    expect(item.filter(has_text="Cool down").last).to_have_attribute("aria-level", "2")
    it.press("m")
    it.type("Out")
    assert sorted(it.doc["steps"]) == ["map", "tool", "wait"]
    item.filter(has_text="When a run fails").click()
    it.press("Delete")
    assert "on_error" not in it.doc
    it.visit.is_accessible()
    it.visit.is_quiet()


def test_it_is_accessible_with_its_menu_open(canvas: Any) -> None:
    it = canvas("contract")
    it.visit.is_accessible()
    it.face("split").click()
    it.press("n")
    expect(it.visit.see("canvas-menu").first).to_be_visible()
    it.visit.is_accessible()
    it.press("Escape")
    expect(it.face("split")).to_be_focused()
    it.visit.is_quiet()
