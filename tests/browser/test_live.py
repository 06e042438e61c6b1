"""Pages that stay true while things change: the checks LV-1 … LV-7 of the interaction specification, and what its section 5 says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page, expect

from flows.execution.doorbells import _send, doorbell, inbox_changed, run_group
from flows.models import Attempt, Call, Person, Run
from tests.makers import add_events, make_flow, make_request, make_run, make_team
from tests.runs.journals import DOCUMENT, make_attempt, make_call

LISTENS = """() => {
  window.heard = []
  document.addEventListener("live", ({ detail }) => { if (detail.seq) window.heard.push(detail.seq) })
}"""
REGIONS_NOW = """async () => {
  const fresh = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html")
  const text = (region) => `${region.id} ${region.textContent.replace(/\\s+/g, " ").trim()}`
  return [document, fresh].map((each) => [...each.querySelectorAll("[data-live-url]")].map(text))
}"""
SHIFTS = """() => {
  window.shifts = []
  const box = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(" ")
  const name = (node) => node?.id || node?.className || `${node?.parentNode?.className} ${node?.nodeName}`
  new PerformanceObserver((list) => { for (const { value, sources } of list.getEntries())
    window.shifts.push([value, ...sources.map((each) => `${name(each.node)}: ${box(each.previousRect)} → ${box(each.currentRect)}`)])
  }).observe({ type: "layout-shift" })
}"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden })
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => hidden ? "hidden" : "visible" })
  document.dispatchEvent(new Event("visibilitychange"))
}"""


WIRE = """(refused) => {
  const wire = window.wire = { refused, open: [] }
  class Refused extends EventTarget {
    readyState = 0
    constructor() {
      super()
      if (refused === "silent") return
      setTimeout(() => { this.readyState = 3; this.dispatchEvent(new CloseEvent("close", { code: 1006 })) }, 5)
    }
    close() {}
  }
  window.WebSocket = new Proxy(WebSocket, { construct(real, given) {
    if (wire.refused) return new Refused()
    const socket = new real(...given)
    wire.open.push(socket)
    return socket
  } })
}"""


class Line:
    """The wire of a page's sockets: it can be cut, refused and mended, or takes what is sent and says nothing ("silent")."""

    def __init__(self, page: Page, *, refused: bool | str = False) -> None:
        self.page = page
        page.add_init_script(f"({WIRE})({json.dumps(refused)})")

    def cut(self) -> None:
        """Ends the socket, and no other comes about."""
        self.page.evaluate("() => { wire.refused = true; for (const socket of wire.open.splice(0)) socket.close() }")

    def mend(self) -> None:
        self.page.evaluate("() => { wire.refused = false }")


def review(status: str = "running", **fields: Any) -> Run:
    return make_run(make_flow(document=DOCUMENT), status=status, **fields)


def goes_on(run: Run, count: int = 1, **changes: Any) -> None:
    """The run did something, and the page is told as an engine tells it."""
    add_events(run, count, changes.pop("kind", "step.succeeded"))
    if changes:
        Run.objects.filter(id=run.id).update(**changes)
    doorbell(run.id, run.seq)


def address(run: Run, query: str = "") -> str:
    return f"/runs/{run.public_id}{query}"


def is_live(visit: Any) -> None:
    """Again: a page that was cut off tries more and more seldom, at last each 30 s."""
    expect(visit.see("live")).to_have_attribute("data-status", "live", timeout=60_000)


def equals_a_fresh_one(visit: Any) -> None:
    now, fresh = visit.page.evaluate(REGIONS_NOW)
    assert now == fresh


def heard(visit: Any) -> list[int]:
    return list(visit.page.evaluate("() => window.heard"))


@pytest.fixture
def operator(visit: Any, person: Any) -> Any:
    return visit(as_=person("operator"))


@pytest.fixture
def approver(visit: Any, person: Any) -> Any:
    held: Person = person("approver-1")
    held.memberships.update(team=make_team("finance"))
    return visit(as_=held)


def test_LV_1_a_killed_socket_is_said_polled_around_and_made_up_for(operator: Any) -> None:
    run, line = review(), Line(operator.page)
    operator.go(address(run, "?tab=events"))
    is_live(operator)
    status = operator.see("live")

    line.cut()
    expect(status).to_have_attribute("data-status", "reconnecting")
    expect(status).to_have_attribute("data-status", "polling")
    goes_on(run, 2)
    expect(operator.see("event")).to_have_count(3)
    line.mend()
    is_live(operator)
    expect(operator.see("live")).to_have_text("Live")
    equals_a_fresh_one(operator)
    operator.is_quiet()


def test_LV_1_a_server_that_takes_the_socket_and_says_nothing_is_polled_around(operator: Any) -> None:
    run = review()
    Line(operator.page, refused="silent")
    operator.go(address(run, "?tab=events"))

    expect(operator.see("live")).to_have_attribute("data-status", "polling")
    goes_on(run, 2)
    expect(operator.see("event")).to_have_count(3)
    operator.is_quiet()


def test_LV_2_what_happened_meanwhile_comes_once_each_and_in_order(operator: Any) -> None:
    """Also across two cuts, with events on both sides of each."""
    run, line = review(events=3), Line(operator.page)
    operator.go(address(run, "?tab=events"))
    operator.page.evaluate(LISTENS)
    is_live(operator)
    for _ in range(2):
        goes_on(run, 2)
        expect(operator.see("event")).to_have_count(run.seq)
        line.cut()
        expect(operator.see("live")).to_have_attribute("data-status", "reconnecting")
        goes_on(run, 4)
        line.mend()
        is_live(operator)
        goes_on(run)
        expect(operator.see("event")).to_have_count(run.seq)

    assert heard(operator) == list(range(4, run.seq + 1))
    shown = operator.see("event").evaluate_all("events => events.map(event => Number(event.dataset.seq))")
    assert shown == list(range(run.seq, 0, -1))
    operator.is_quiet()


def test_LV_2_the_same_when_the_server_itself_was_away(operator: Any, site: Any) -> None:
    run = review(events=3)
    operator.go(address(run, "?tab=events"))
    operator.page.evaluate(LISTENS)
    is_live(operator)

    site.stop()
    expect(operator.see("live")).to_have_attribute("data-status", "reconnecting")
    add_events(run, 5)
    site.start()

    is_live(operator)
    expect(operator.see("event")).to_have_count(8)
    assert heard(operator) == [4, 5, 6, 7, 8]


def test_LV_3_who_types_keeps_focus_caret_and_text(approver: Any) -> None:
    request = make_request()
    approver.go(f"/approvals/{request.public_id}")
    is_live(approver)
    comment = approver.page.get_by_label("Comment")
    comment.click()
    comment.press_sequentially("I have read it")
    comment.evaluate("field => field.setSelectionRange(2, 6)")

    make_request()
    inbox_changed()

    expect(approver.see("approvals-badge").first).to_have_text("2")
    expect(comment).to_be_focused()
    expect(comment).to_have_value("I have read it")
    assert comment.evaluate("field => [field.selectionStart, field.selectionEnd]") == [2, 6]
    approver.is_quiet()


def test_LV_3_a_region_in_which_text_is_selected_waits(operator: Any) -> None:
    run = review()
    operator.go(address(run))
    is_live(operator)
    head = operator.see("run-head")
    operator.page.evaluate("() => getSelection().selectAllChildren(document.querySelector('[data-testid=run-head] h1'))")

    goes_on(run, status="waiting")
    expect(head).to_have_attribute("data-held", "")
    assert head.get_attribute("data-state") == "running"
    assert operator.page.evaluate("() => getSelection().toString()").strip()

    operator.page.evaluate("() => getSelection().removeAllRanges()")
    expect(head).to_have_attribute("data-state", "waiting")
    expect(operator.page.locator("[data-held]")).to_have_count(0)
    operator.is_quiet()


def test_LV_4_rows_stay_where_they_are_while_runs_come_and_go(operator: Any) -> None:
    runs = [review() for _ in range(5)]
    operator.go("/runs")
    is_live(operator)
    rows = operator.see("run-row")
    expect(rows).to_have_count(5)
    third, order = rows.nth(2), rows.evaluate_all("rows => rows.map(row => row.dataset.id)")
    top = third.bounding_box()["y"]

    for _ in range(3):
        review("queued")
    Run.objects.filter(id=runs[3].id).update(status="succeeded", ended_at=timezone.now())

    expect(operator.page.locator("#run-news")).to_contain_text("3 new")
    expect(rows.nth(1)).to_have_attribute("data-state", "succeeded")
    assert rows.evaluate_all("rows => rows.map(row => row.dataset.id)") == order
    assert third.bounding_box()["y"] == top
    operator.page.locator("#run-news a").click()
    expect(rows).to_have_count(8)
    operator.is_quiet()


@pytest.fixture
def streaming(transactional_db: None) -> tuple[Run, Call]:
    """A run whose model is writing: what it wrote so far is where an engine keeps it."""
    run = review()
    call = make_call(run, "judge", status="started", cost=None, ended_at=None, request={"messages": []})
    goes_on(run)
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as client:
        client.set(f"text:{call.id.hex}", "".join(f"Line {n}\n" for n in range(100)), ex=60)
    return run, call


def writes(run: Run, call: Call, text: str, at: int) -> None:
    """The next piece of text, as an engine sends it."""
    message = {"type": "text", "run": run.id.hex, "call": f"call_{call.id.hex}", "path": call.path, "text": text, "at": at}
    _send(run_group(run.id), message)
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as client:
        client.append(f"text:{call.id.hex}", text)


def test_LV_5_a_step_that_is_opened_mid_stream_shows_what_was_before(operator: Any, streaming: tuple[Run, Call]) -> None:
    run, call = streaming
    before = "".join(f"Line {n}\n" for n in range(100))
    operator.go(address(run, "?step=judge"))
    stream = operator.see("stream")
    expect(stream).to_contain_text("Line 0")
    is_live(operator)

    for n, word in enumerate(("and ", "it ", "goes ", "on")):
        writes(run, call, word, len(before) + len("and it goes "[: (0, 4, 7, 12)[n]]))

    expect(stream).to_contain_text("and it goes on")
    assert stream.evaluate("pane => pane.textContent") == before + "and it goes on"
    operator.is_quiet()


def test_RD_2_who_has_scrolled_up_is_not_moved_and_may_jump_to_live(operator: Any, streaming: tuple[Run, Call]) -> None:
    run, call = streaming
    written = sum(len(f"Line {n}\n") for n in range(100))
    operator.go(address(run, "?step=judge"))
    is_live(operator)
    stream, back = operator.see("stream"), operator.page.get_by_role("button", name="Jump to live")
    expect(stream).to_contain_text("Line 99")
    at_end = "pane => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 2"
    writes(run, call, "At the end\n", written)
    expect(stream).to_contain_text("At the end")
    assert stream.evaluate(at_end)
    expect(back).to_be_hidden()

    stream.evaluate("pane => { pane.scrollTop = 40 }")
    writes(run, call, "Scrolled up\n", written + 11)
    expect(stream).to_contain_text("Scrolled up")
    assert stream.evaluate("pane => pane.scrollTop") == 40
    back.click()
    assert stream.evaluate(at_end)
    expect(back).to_be_hidden()
    operator.is_quiet()


def passes(visit: Any, seconds: int) -> None:
    """So much time passes for server and browser, and each second is drawn."""
    for _ in range(seconds):
        visit.site.clock.advance(seconds=1)
        visit.page.clock.run_for(1000)
        visit.page.wait_for_timeout(50)


def test_LV_6_nothing_shifts_on_the_page_of_a_busy_run(operator: Any) -> None:
    """For the 60 s that it says, across the minute at which durations are written otherwise, to the run's end."""
    begun = timezone.now()
    operator.page.clock.install(time=begun)
    run = review(spent="0.0001", started_at=begun - timedelta(seconds=20))
    make_attempt(run, "split", kind="set")
    make_attempt(run, "rate", status="open", kind="map")
    for item in range(3):
        make_attempt(run, f"rate[{item}].assess")
    operator.go(address(run, "?step=rate"))
    is_live(operator)
    operator.page.evaluate(LISTENS)
    operator.page.evaluate(SHIFTS)
    begun = datetime.fromtimestamp(operator.page.evaluate("() => Date.now()") / 1000 + 1, UTC)
    operator.page.clock.pause_at(begun)
    operator.site.clock.freeze(begun)

    going = None
    for item in range(3, 18):
        if going is not None:
            now = operator.site.clock.now
            Attempt.objects.filter(id=going.id).update(status="failed" if item == 9 else "succeeded", ended_at=now)
        going = make_attempt(run, f"rate[{item}].assess", status="open", started_at=operator.site.clock.now)
        make_call(run, f"rate[{item}].assess", cost="0.01")
        goes_on(run, 3, spent=f"0.{item:04}")
        operator.page.wait_for_function("seq => window.heard.at(-1) >= seq", arg=run.seq)
        passes(operator, 4)
        if item % 5 == 0:
            succeeded = item if item < 9 else item - 1
            expect(operator.page.locator("[data-testid=step-row][data-path=rate]")).to_contain_text(str(succeeded))
    goes_on(run, status="succeeded", ended_at=operator.site.clock.now, kind="run.ended")
    operator.page.clock.resume()
    expect(operator.see("run-head")).to_have_attribute("data-state", "succeeded")

    shifts = operator.page.evaluate("() => window.shifts")
    assert sum(value for value, *_ in shifts) == 0, json.dumps(shifts, indent=1, ensure_ascii=False)
    operator.is_quiet()


def test_LV_7_without_any_socket_every_page_works_and_refreshes_by_polling(operator: Any) -> None:
    run, request = review(), make_request()
    Line(operator.page, refused=True)
    for path in ("/runs", "/flows", f"/flows/{run.flow.slug}", f"/flows/{run.flow.slug}/run", "/approvals"):
        assert operator.go(path).status == 200
        expect(operator.page.get_by_role("heading", level=1)).to_be_visible()
    operator.go(f"/approvals/{request.public_id}")
    expect(operator.see("facts")).to_be_visible()

    operator.go(address(run))
    expect(operator.see("live")).to_have_attribute("data-status", "polling")
    goes_on(run, status="succeeded", ended_at=timezone.now(), kind="run.ended")
    expect(operator.see("run-head")).to_have_attribute("data-state", "succeeded")
    operator.see("step-row").first.click()
    expect(operator.see("inspector")).to_be_visible()
    operator.is_quiet()


def test_a_hidden_tab_asks_for_nothing_and_catches_up_with_one_fetch_a_region(operator: Any) -> None:
    run = review(events=3)
    operator.go(address(run, "?tab=events"))
    operator.page.evaluate(LISTENS)
    is_live(operator)
    goes_on(run)
    expect(operator.see("event")).to_have_count(4)
    asked: list[str] = []
    operator.page.on("request", lambda request: asked.append(request.url) if "/regions/" in request.url else None)

    operator.page.evaluate(HIDE, True)
    expect(operator.see("live")).not_to_have_attribute("data-status", "live")
    asked.clear()
    goes_on(run, 20)
    assert asked == []
    operator.page.evaluate(HIDE, False)

    expect(operator.see("event")).to_have_count(24)
    assert len([url for url in asked if "/regions/events" in url]) <= 2, asked
    assert heard(operator) == list(range(4, 25))
    operator.is_quiet()


def test_a_paused_page_stands_still_and_catches_up(operator: Any, visit: Any, person: Any) -> None:
    run, other = review(), visit(as_=person("viewer"))
    for each in (operator, other):
        each.go(address(run))
        is_live(each)
    operator.page.keyboard.press("p")
    expect(operator.see("live")).to_contain_text("Paused since")

    goes_on(run, status="waiting")
    expect(other.see("run-head")).to_have_attribute("data-state", "waiting")
    expect(operator.see("run-head")).to_have_attribute("data-state", "running")

    operator.see("live").click()
    expect(operator.see("run-head")).to_have_attribute("data-state", "waiting")
    is_live(operator)
    operator.is_quiet()
