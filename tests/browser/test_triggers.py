"""Schedules and webhooks as people use them. Each check bears its identifier."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flows.models import Firing, Person, Run, Trigger
from flows.triggers.clock import database_now
from tests.makers import make_flow, make_trigger
from tests.triggers.test_webhooks import deliver

Person_ = Callable[[str], Person]


def test_TRG_1_a_schedule_is_made_and_says_when_it_fires(visit: Any, person: Person_) -> None:
    make_flow("greet")
    page = visit(as_=person("builder"))
    page.go("/triggers/new?kind=schedule&flow=greet")
    page.page.get_by_label("Name").fill("Weekly brief")
    page.page.get_by_label("Rule").fill("30 9 * * 2")
    page.page.get_by_label("Time zone").fill("Europe/Madrid")
    page.page.get_by_label("Input").fill('{"name": 3}')
    page.see("save-trigger").click()
    page.see("form-errors").wait_for()
    page.page.get_by_label("Input").fill('{"name": "Ann"}')
    page.see("save-trigger").click()

    page.see("next-times").wait_for()
    times = page.see("next-times").locator("li").all_inner_texts()
    assert len(times) == 5
    assert all("Tue" in text and "09:30" in text for text in times)
    assert "At 09:30 on Tuesday" in page.page.locator("main").inner_text()
    page.page.get_by_label("Rule").fill("30 9 1 */2 *")
    page.see("save-trigger").click()
    page.page.get_by_text("every second month").first.wait_for()
    times = page.see("next-times").locator("li").all_inner_texts()
    assert all("09:30" in text for text in times), "wherever the clocks stand"
    moments = [each.get_attribute("datetime") for each in page.see("next-times").locator("time").all()]
    hours = {datetime.fromisoformat(each).astimezone(UTC).hour for each in moments}
    assert hours == {7, 8}, "eight months always hold a change of clocks"
    page.go("/triggers")
    assert page.see("trigger-row").count() == 1


def test_TRG_2_and_3_deliveries_are_listed_and_replayed(visit: Any, person: Person_) -> None:
    trigger = make_trigger(make_flow("greet"), "webhook")
    deliver(trigger)
    deliver(trigger, sign="v1,AAAA")
    page = visit(as_=person("builder"))

    page.go(f"/triggers/{trigger.public_id}")
    outcomes = [each.get_attribute("data-outcome") for each in page.see("firing").all()]
    assert outcomes == ["refused", "started"]
    assert "signature is missing or wrong" in page.see("firing").first.inner_text()
    assert Run.objects.count() == 1
    page.see("replay").click()
    page.page.wait_for_url("**/runs/run_*")
    assert Firing.objects.get(replay_of__isnull=False).run is not None
    page.go(f"/triggers/{trigger.public_id}")
    page.see("use-as-sample").first.click()
    page.page.wait_for_load_state()
    assert Trigger.objects.get().settings["sample"] == {"name": "Ann"}
    page.is_quiet()


def test_TRG_4_and_5_a_pause_says_who_and_a_skip_why(visit: Any, person: Person_) -> None:
    operator = person("operator")
    trigger = make_trigger(make_flow("greet"))
    now = database_now()
    Firing.objects.create(trigger=trigger, mark="1", due_at=now, outcome="skipped", reason="Run #1 was still going.")
    page = visit(as_=operator)

    page.go(f"/triggers/{trigger.public_id}")
    assert "Run #1 was still going." in page.see("firing").inner_text()
    page.see("pause").click()
    page.see("inactive").wait_for()
    assert f"Paused by {operator}" in page.see("inactive").inner_text()
    assert page.see("inactive").locator("time").count() == 1
    page.see("resume").click()
    page.see("pause").wait_for()
    assert page.see("next-times").locator("li").count() == 5


def test_the_flows_page_shows_its_triggers(visit: Any, person: Person_) -> None:
    flow = make_flow("greet")
    make_trigger(flow)
    make_trigger(flow, "webhook")
    page = visit(as_=person("viewer"))

    page.go("/flows/greet?tab=triggers")

    page.see("trigger-row").first.wait_for()
    assert page.see("trigger-row").count() == 2
    page.is_quiet()
