"""What people do to runs, in a browser: dialogs, pages that ask, the bar of the list, passes and the timeline."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from flows.models import FlowVersion, Person, Run, RunPass
from tests.makers import make_flow, make_run
from tests.pages.test_compare import reviewed
from tests.runs.journals import DOCUMENT as HANDLED
from tests.runs.journals import make_attempt, make_call

DOCUMENT = HANDLED.replace(", judge.error -> tell", "")


def failed() -> Run:
    error = json.dumps({"step": "judge", "class": "rate_limit", "message": "429 rate limited"})
    run = make_run(make_flow(document=DOCUMENT), status="failed", error=error, cap_cost="1", spent="0.01")
    make_attempt(run, "split", kind="set", output={"a": 1})
    make_attempt(run, "judge", status="failed", error={"class": "rate_limit", "message": "429"})
    make_call(run, "judge", cost="0.01", status="failed_final")
    return run


@pytest.fixture
def operator(visit: Any, person: Any) -> Any:
    return visit(as_=person("operator"))


def test_RD_4_a_retry_is_chosen_looked_at_and_begun(operator: Any) -> None:
    run = failed()
    operator.go(f"/runs/{run.public_id}")

    operator.see("retry").click()
    expect(operator.see("again")).to_have_count(1)
    expect(operator.see("again")).to_contain_text("$0.010000")
    operator.page.get_by_label("Begin at").select_option("split")
    expect(operator.see("again")).to_have_count(2)
    operator.is_accessible()
    operator.see("retry-confirm").dblclick()

    expect(operator.see("passes")).to_contain_text("Pass 2 of 2")
    assert RunPass.objects.filter(run=run).count() == 1
    operator.page.get_by_text("Pass 2 of 2").click()
    operator.is_accessible()
    operator.see("pass").last.click()
    expect(operator.see("step-row").and_(operator.page.locator("[data-path=judge]"))).to_have_attribute("data-state", "failed")
    assert operator.path.endswith("?pass=1")
    operator.is_quiet()


def test_pausing_is_asked_in_a_dialog_and_the_page_shows_who_did_it(operator: Any) -> None:
    run = make_run(make_flow(document=DOCUMENT), status="waiting", reason="wait")
    operator.go(f"/runs/{run.public_id}")

    operator.see("pause").click()
    expect(operator.see("pause-confirm")).to_be_visible()
    operator.is_accessible()
    operator.page.keyboard.press("Escape")
    expect(operator.see("pause")).to_be_focused()
    operator.see("pause").click()
    operator.see("pause-confirm").click()

    expect(operator.see("run-head")).to_contain_text("paused by operator")
    expect(operator.see("resume")).to_be_visible()
    operator.is_quiet()


def test_RUN_3_the_bar_of_the_list_retries_what_can_be_retried(operator: Any) -> None:
    one, two, done = failed(), failed(), make_run(status="succeeded")
    operator.go("/runs")
    expect(operator.see("bulk")).to_be_hidden()

    operator.page.get_by_label("Select all").check()
    expect(operator.see("bulk")).to_contain_text("3 selected")
    operator.is_accessible()
    operator.page.get_by_role("button", name="Retry from failure").click()
    expect(operator.see("not-eligible")).to_contain_text("2 of 3")
    operator.is_accessible()
    operator.see("bulk-confirm").click()

    expect(operator.page.get_by_text("2 runs retried.")).to_be_visible()
    assert set(Run.objects.filter(pass_number=2)) == {one, two}
    assert Run.objects.get(id=done.id).pass_number == 1
    operator.is_quiet()


def test_RD_5_hours_between_two_passes_are_cut_out_of_the_timeline(operator: Any) -> None:
    began = timezone.now() - timedelta(hours=4)
    run = failed()
    Run.objects.filter(id=run.id).update(pass_number=2, created_at=began, started_at=began)
    RunPass.objects.create(run=run, number=2, verb="retry", at=timezone.now() - timedelta(seconds=30))
    ended = {"ended_at": began + timedelta(seconds=30)}
    make_attempt(run, "split", pass_number=2, kind="set", carried=True, started_at=began, **ended)
    make_attempt(run, "judge", pass_number=2, started_at=timezone.now() - timedelta(seconds=20))
    operator.go(f"/runs/{run.public_id}?tab=timeline")

    expect(operator.see("gap")).to_contain_text("3h 59m idle")
    lanes = operator.page.locator("[data-path=split] .attempt, [data-path=judge] .attempt")
    assert min(lane.bounding_box()["width"] for lane in lanes.all()) > 60
    operator.is_accessible()
    operator.see("true-scale").click()
    expect(operator.see("gap")).to_have_count(0)
    operator.is_quiet()


def test_RD_6_an_owner_raises_the_limit_and_the_run_goes_on(visit: Any, person: Any) -> None:
    run = failed()
    Run.objects.filter(id=run.id).update(status="budget_stopped", reason="cost", spent="0.90")
    owner = visit(as_=person("owner"))
    owner.go(f"/runs/{run.public_id}")

    owner.see("raise-limits").click()
    owner.see("limits-confirm").wait_for()
    owner.is_accessible()
    owner.page.get_by_label("Cost", exact=True).fill("0.50")
    owner.see("limits-confirm").click()
    expect(owner.page.locator(".error")).to_contain_text("is less than what is used")
    owner.page.get_by_label("Cost", exact=True).fill("5")
    owner.see("limits-confirm").click()

    expect(owner.see("passes")).to_contain_text("Pass 2 of 2")
    owner.expect_noise("422")
    owner.is_quiet()


def test_CMP_1_to_5_two_runs_stand_side_by_side(operator: Any) -> None:
    flow = make_flow(document=DOCUMENT)
    one, other = reviewed(flow), reviewed(flow, verdict="poor", cost="0.25", seconds=20)
    document = DOCUMENT.replace("tell: {kind: set, label: Tell", "say: {kind: set, label: Say").replace("> tell", "> say")
    Run.objects.filter(id=other.id).update(
        version=FlowVersion.objects.create(flow=flow, number=2, hash="1" * 64, document=document)
    )
    operator.go(f"/runs/compare?a={one.public_id}&b={other.public_id}")
    rows, totals = operator.see("compared"), operator.see("totals")

    expect(rows.and_(operator.page.locator("[aria-selected=true]"))).to_have_attribute("data-key", "judge")
    expect(rows.and_(operator.page.locator("[data-key=tell]"))).to_contain_text("not in this run")
    expect(totals).to_contain_text("+10.0 s slower · +$0.1500 dearer")
    operator.is_accessible()
    operator.see("swap").click()
    expect(totals).to_contain_text("−10.0 s faster · −$0.1500 cheaper")
    operator.go(f"/runs/compare?a={one.public_id}&b={reviewed(flow).public_id}")
    expect(operator.see("no-differences")).to_have_text("No differences in outputs.")
    operator.is_quiet()


@pytest.mark.parametrize("rest", ["", "/retry", "/skip?step=judge", "/input?step=tell", "/limits", "?tab=timeline", "/pause"])
def test_no_page_of_acts_is_wider_than_a_phone(visit: Any, person: Any, rest: str) -> None:
    held: Person = person("operator")
    phone = visit(as_=held, phone=True)
    run = failed()
    phone.go(f"/runs/{run.public_id}{rest}")

    phone.fits()
    phone.is_accessible("dark")
    phone.is_quiet()


def test_dragging_over_the_histogram_narrows_the_list_to_that_span(operator: Any) -> None:
    make_run(make_flow("greet"), status="succeeded")
    operator.go("/runs?started=1h")
    boxes = [operator.page.locator("[data-piece]").nth(n).bounding_box() for n in (4, 23)]

    operator.page.mouse.move(boxes[0]["x"] + 5, boxes[0]["y"] + 20)
    operator.page.mouse.down()
    operator.page.mouse.move(boxes[1]["x"] + 5, boxes[1]["y"] + 20, steps=5)
    operator.page.mouse.up()

    operator.page.wait_for_url(re.compile(r"started=\d{4}-.*\.\.\d{4}-"))
    expect(operator.page.get_by_test_id("run-row")).to_have_count(1)
    expect(operator.page.locator("[data-filter=started]")).to_be_visible()
    operator.is_accessible("light")
    operator.is_quiet()
