"""Models, routes and fire drills as people use them. Each check bears its identifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from flows.models import Drill, ModelEntry, Person, Route, Run
from flows.runs.actions.start_run import start_run
from flows.runs.drills.tending import tend_drills
from tests.engine.flows import source_of
from tests.execution.conftest import Drive, drive, models_loaded
from tests.execution.runs import finish, make_model, make_route, model, until
from tests.makers import make_actor, make_flow
from tests.runs.journals import make_call

__all__ = ["drive", "models_loaded"]
Person_ = Callable[[str], Person]


def row(at: Any, slug: str, what: str = "model-row") -> Any:
    return at.page.locator(f'[data-testid="{what}"][data-id="{slug}"]')


def asking(route: str, slug: str = "refunds") -> Any:
    return make_flow(slug, document=source_of({"a": model("Say it", route)}, ["start -> a"], input={"type": "object"}))


def test_MDL_1_a_provider_without_a_key_says_so_and_saving_it_saves_nothing(visit: Any, person: Person_) -> None:
    """FST-5, too: checking a key that will not do tells the reason and saves nothing."""
    make_model("keyed", model="openai/large-1", api_key_env="NO_SUCH_KEY")
    at = visit(as_=person("owner"))

    at.go("/models")
    expect(row(at, "keyed")).to_contain_text("No key – add or simulate")
    row(at, "keyed").get_by_role("link", name="keyed").click()
    at.see("check-key").click()

    expect(at.see("checked")).to_contain_text("The environment variable NO_SUCH_KEY is not set.")
    at.page.get_by_label("Provider and model").fill("openai/other")
    at.see("save").click()
    expect(at.see("refused")).to_contain_text("nothing was saved")
    expect(at.page.get_by_label("Provider and model")).to_have_value("openai/other")
    assert ModelEntry.objects.get().model == "openai/large-1"


def test_MDL_2_and_6_a_candidate_that_dies_is_degraded_in_words_and_the_other_answers(
    visit: Any, person: Person_, drive: Drive
) -> None:
    make_model("weak", settings={"fail": "unavailable"})
    make_model("strong")
    make_route("pair", "weak", "strong")
    flow = asking("pair")
    drive()
    for _ in range(2):
        finish(start_run(make_actor("operator"), flow.slug, {}))
    at = visit(as_=person("viewer"))

    at.go("/models")
    status = row(at, "weak").get_by_test_id("model-status")
    expect(status).to_have_attribute("data-status", "degraded")
    expect(status).to_contain_text("Degraded")
    expect(status).to_contain_text("the last unavailable")
    at.go("/routes/pair")
    expect(row(at, "weak", "candidate").locator('[data-label="Failed"]')).to_have_text("2")
    expect(row(at, "strong", "candidate").locator('[data-label="Calls"]')).to_have_text("2")
    at.go(f"/runs/{Run.objects.latest('id').public_id}?step=a")
    expect(at.page.locator("main")).to_contain_text("candidate 2 of pair, after the one before it failed")
    expect(at.page.locator("main")).to_contain_text("unavailable")


def test_MDL_3_a_dry_run_changes_nothing_and_lists_the_differences(visit: Any, person: Person_) -> None:
    make_model("small", price=("1", "1"))
    make_model("large", price=("10", "10"))
    make_route("main", "small")
    finished = Run.objects.create(flow=(flow := asking("main")), version=flow.published, input="{}", status="queued")
    make_call(finished, "a", target="small", route="main", cost="0.0011")
    at = visit(as_=person("builder"))

    at.go("/routes/main/edit")
    at.page.get_by_label("Model of candidate 1").select_option("large")
    at.see("dry-run").click()

    expect(at.see("dry-run-summary")).to_contain_text("1 of 1 would have been asked of another model first")
    expect(at.see("difference")).to_contain_text("small")
    expect(at.see("difference")).to_contain_text("large")
    assert Route.objects.get().candidates == ["small"]


def test_MDL_4_a_candidate_without_a_needed_capability_is_not_saved(visit: Any, person: Person_) -> None:
    make_model("plain")
    make_model("able", capabilities=["tools"])
    at = visit(as_=person("builder"))

    at.go("/models")
    at.see("new-route").click()
    at.page.get_by_label("Name").fill("agents")
    at.page.get_by_label("Model of candidate 1").select_option("plain")
    at.page.get_by_role("group", name="Each candidate must have").get_by_label("tools").check()
    at.see("save").click()

    expect(at.see("refused")).to_contain_text("`plain` lacks tools, which the route needs")
    assert not Route.objects.exists()
    at.page.get_by_label("Model of candidate 1").select_option("able")
    at.see("save").click()
    at.page.wait_for_url("**/routes/agents")
    assert Route.objects.get().needs == ["tools"]


def test_MDL_5_used_by_lists_flows_and_versions(visit: Any, person: Person_) -> None:
    make_model("small")
    make_route("main", "small")
    asking("main")
    at = visit(as_=person("owner"))

    at.go("/models")
    for found in (row(at, "small"), row(at, "main", "route-row")):
        expect(found.get_by_test_id("used-by")).to_contain_text("refunds v1")
    at.go("/models/small")
    at.see("remove").click()
    expect(at.see("refused")).to_contain_text("route main")
    assert ModelEntry.objects.filter(slug="small").exists()


def test_a_prompt_is_tried_and_its_answer_and_cost_stand_on_its_run(visit: Any, person: Person_, drive: Drive) -> None:
    make_model("small")
    make_route("main", "small")
    drive()
    at = visit(as_=person("builder"))

    at.go("/routes/main")
    at.page.get_by_role("textbox", name="Prompt").fill("[[sim: say=It is tried.]]")
    at.see("try").click()
    at.page.wait_for_url("**/runs/run_*")

    expect(at.page.locator("main")).to_contain_text("It is tried.")
    run = finish(Run.objects.get())
    assert (run.purpose, run.status) == ("test", "succeeded")
    assert run.spent > 0


def test_a_drill_is_started_on_the_flows_page_and_its_report_grows_there(visit: Any, person: Person_, drive: Drive) -> None:
    make_model("small")
    make_model("large")
    make_route("main", "small", "large")
    asking("main")
    drive(hooks=[tend_drills])
    at = visit(as_=person("operator"))

    at.go("/flows/refunds")
    at.see("drill").click()
    at.see("start-drill").click()
    at.page.wait_for_url("**/drills/drill_*")

    expect(at.page.locator("#drill-report[data-ended]")).to_be_attached(timeout=30_000)
    fault = at.page.locator('[data-testid="fault"][data-fault="outage"]')
    expect(fault).to_have_attribute("data-verdict", "handled")
    expect(fault).to_contain_text("fell back to large")
    expect(at.see("drill-summary")).to_contain_text("it cost nothing")
    until(lambda: Drill.objects.get().ended_at)


@pytest.mark.parametrize("address", ["/models", "/models/small", "/routes/main", "/routes/main/edit", "/flows/refunds/drills"])
@pytest.mark.parametrize("how", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_the_pages_are_accessible_in_each_view(visit: Any, person: Person_, address: str, how: dict[str, bool]) -> None:
    make_model("small")
    make_route("main", "small")
    asking("main")
    at = visit(as_=person("owner"), **how)

    at.go(address)

    at.is_accessible()
    at.fits()
    at.is_quiet()
