"""The budgets' pages and API: meters, the editor with its preview, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from flows.costs.budgets import _band
from flows.models import AuditRow, Budget, BudgetHold, BudgetPeriod, Call, Flow, Run
from flows.models.identifiers import new_id
from tests.makers import make_flow, make_person, make_run
from tests.pages.summaries import fields_led_to
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Client:
    client = Client()
    client.force_login(make_person("owner"))
    return client


def make_used(cost: str = "1", spent: str = "0.82", reserved: str = "0.1", **fields: str) -> Budget:
    budget = Budget.objects.create(scope="all", period="day", cost=Decimal(cost), warn=[50, 80], **fields)
    begins = timezone.now() - timedelta(hours=12)
    figures = {"spent": Decimal(spent), "reserved": Decimal(reserved)}
    BudgetPeriod.objects.create(budget=budget, begins=begins, ends=begins + timedelta(days=1), **figures)
    return budget


def test_BUD_6_and_5_the_meter_says_in_words_what_it_shows_and_when_the_limit_comes(owner: Client) -> None:
    make_used()

    page = owner.get("/budgets").content.decode()

    assert "$0.8200 spent, $0.1000 reserved, $1.64 projected of $1.00" in page
    assert "limit about" in page
    assert 'data-testid="budget-row"' in owner.get("/budgets?status=at-risk").content.decode()


def test_BUD_4_raising_a_limit_needs_a_reason_and_is_audited(owner: Client) -> None:
    make_used()
    given = {"scope": "all", "subject": "", "period": "day", "cost": "2", "warn": "50, 80", "at_limit": "stop"}

    assert owner.post("/budgets/edit", given).status_code == 422
    assert owner.post("/budgets/edit", given | {"reason": "launch week"}).status_code == 302
    assert Budget.objects.get().cost == 2
    assert AuditRow.objects.get(action="budget.change").data["reason"] == "launch week"


def test_a_budget_below_what_is_spent_is_refused(owner: Client) -> None:
    make_used()

    answer = owner.post("/budgets/edit", {"scope": "all", "period": "day", "cost": "0.5", "warn": "", "at_limit": "stop"})

    assert answer.status_code == 422
    assert b"less than what this day has used" in answer.content
    for wrong in ({"scope": "flow", "subject": "none"}, {"cost": "much"}, {"cost": ""}, {"zone": "Mars/Base"}, {"warn": "120"}):
        given = {"scope": "all", "period": "week", "cost": "5", "warn": "50", "at_limit": "stop"} | wrong
        refused = owner.post("/budgets/edit", given)
        assert refused.status_code == 422, wrong
        assert fields_led_to(refused.content.decode()), wrong
    assert Budget.objects.count() == 1


def test_the_preview_says_how_many_runs_it_would_have_stopped_and_changes_nothing(owner: Client) -> None:
    flow = make_flow("refunds")
    for _ in range(3):
        make_call(make_run(flow), "a", cost="0.4")
    given = {"scope": "flow", "subject": "refunds", "period": "month", "cost": "0.5", "warn": "50", "at_limit": "stop"}

    page = owner.post("/budgets/edit", given | {"act": "preview"}).content.decode()

    assert 'stopped <b class="figure">2</b> runs' in page
    assert not Budget.objects.exists()
    assert owner.post("/budgets/edit", given).status_code == 302
    removal = given | {"act": "remove"}
    assert owner.post("/budgets/edit", removal).status_code == 422
    assert owner.post("/budgets/edit", removal | {"reason": "over"}).status_code == 302
    assert not Budget.objects.exists()


def test_BUD_4_and_5_the_last_change_and_the_band_of_the_forecast_stand_at_the_meter(owner: Client) -> None:
    make_used()
    owner.post(
        "/budgets/edit",
        {"scope": "all", "subject": "", "period": "day", "cost": "1.2", "warn": "50", "at_limit": "stop", "reason": "a launch"},
    )

    page = owner.get("/budgets").content.decode()

    changed = page.split('data-testid="changed">')[1].split("</span>")[0]
    assert "cost 1 → 1.2" in changed
    assert changed.endswith(": a launch")
    assert 'data-testid="band"' in page


def test_the_band_around_the_end_is_narrower_with_more_calls() -> None:
    now = timezone.now()
    few, many = (_band(now + timedelta(days=4), now, calls) for calls in (8, 800))

    assert few[0] < many[0] < now + timedelta(days=4)
    assert many[1] is not None
    assert few[1] is not None
    assert now + timedelta(days=4) < many[1] < few[1]
    assert _band(now + timedelta(days=4), now, 1)[1] is None


def test_BUD_3_what_providers_billed_beyond_the_bound_is_stated(owner: Client) -> None:
    make_used(spent="1.25", reserved="0")
    assert "none did, so no limit was passed" in owner.get("/budgets").content.decode()
    make_call(make_run(make_flow()), "a", cost="0.5", reserved="0.25")

    page = owner.get("/budgets").content.decode()

    assert "1 call did, by $0.2500 at most" in page
    assert "$0.2500 over the limit" in page


def test_a_budget_of_single_runs_is_made_shown_and_refused_where_it_cannot_be(owner: Client) -> None:
    flow = make_flow("refunds")
    given = {"scope": "run", "subject": "refunds", "period": "run", "cost": "2", "steps": "40", "duration": "2h"}
    given |= {"warn": "80", "at_limit": "stop"}

    assert owner.post("/budgets/edit", given).status_code == 302
    budget = Budget.objects.get()
    assert (budget.name, budget.limits) == ("each run of refunds", {"cost": 2, "steps": 40, "duration": 7200})
    page = owner.get("/budgets").content.decode()
    assert "Each run of refunds" in page
    assert "$2.00, 40 steps, 2h 00m" in page
    for wrong in (
        {"period": "day"},
        {"scope": "flow", "period": "day"},
        {"scope": "all", "subject": ""},
        {"scope": "step", "subject": "refunds/greet"},
        {"subject": "none"},
        {"steps": "0"},
        {"duration": "soon"},
    ):
        assert owner.post("/budgets/edit", given | wrong).status_code == 422, wrong
    for n in range(3):
        make_call(make_run(flow), "a", cost=f"{n + 1}.5")
    preview = owner.post("/budgets/edit", given | {"act": "preview"}).content.decode()
    assert 'stopped <b class="figure">2</b> runs' in preview


def test_what_flows_allow_each_run_stands_beside_the_budgets(owner: Client) -> None:
    flow = make_flow("refunds")
    Flow.objects.filter(id=flow.id).update(ceiling={"cost": "1.50", "duration": "1h"})

    page = owner.get("/budgets").content.decode()
    assert "$1.50, 1h 00m" in page.split('data-testid="flow-limits"')[1]
    [found] = owner.get("/api/v1/budgets").json()["flows"]
    assert (found["flow"], found["ceiling"]["cost"], found["ceiling"]["duration"]) == ("refunds", "1.5", 3600)


def test_the_first_budget_is_proposed_from_the_last_30_days(owner: Client) -> None:
    flow = make_flow()
    make_call(make_run(flow), "a", cost="100")
    Flow.objects.filter(id=flow.id).update(ceiling={"cost": "1.50"})

    page = owner.get("/budgets").content.decode()

    assert "suggest $120.00 a month" in page
    assert page.index("Begin with that") < page.index('data-testid="flow-limits"'), "it is not below what flows allow"
    assert 'aria-label="Which"' not in page
    reader = Client()
    reader.force_login(make_person("auditor"))
    assert "Begin with that" not in reader.get("/budgets").content.decode()


def make_held(budget: Budget, age: timedelta, **run: str) -> BudgetHold:
    period = budget.periods.get()
    held = make_run(make_flow(), **({"status": "running"} | run))
    hold = BudgetHold.objects.create(
        call_id=new_id(), run_id=held.id, epoch=held.epoch, period=period, reserved=Decimal("0.1"), tokens=5
    )
    BudgetPeriod.objects.filter(id=period.id).update(reserved_tokens=5, reserved_calls=1)
    BudgetHold.objects.filter(id=hold.id).update(at=timezone.now() - age)
    return hold


def test_a_stuck_hold_is_released_audited_and_its_run_can_no_longer_begin_the_call(owner: Client) -> None:
    hold = make_held(make_used(), timedelta(minutes=9))
    run = Run.objects.get(id=hold.run_id)

    assert 'data-testid="stuck-row"' in owner.get("/budgets").content.decode()
    address = f"/budgets/holds/{hold.id}/release"
    assert owner.post(address).status_code == 422
    assert owner.post(address, {"reason": "the worker lost it"}).status_code == 302

    period = BudgetPeriod.objects.get()
    assert (period.reserved, period.reserved_calls, period.spent) == (0, 0, Decimal("0.82"))
    assert Run.objects.get(id=run.id).epoch == run.epoch + 1
    assert AuditRow.objects.get(action="budget.release").data["reason"] == "the worker lost it"
    assert owner.post(address, {"reason": "again"}).status_code == 404


def test_a_hold_whose_call_has_ended_is_counted_and_one_in_flight_is_not_touched(owner: Client) -> None:
    budget = make_used()
    ended, flying = make_held(budget, timedelta(minutes=9)), make_held(budget, timedelta(minutes=9))
    BudgetPeriod.objects.update(reserved="0.2", reserved_tokens=10, reserved_calls=2)
    for hold, state in ((ended, "succeeded"), (flying, "started")):
        call = make_call(
            Run.objects.get(id=hold.run_id), "a", cost="0.05" if state == "succeeded" else None, status=state, id=hold.call_id
        )
        end = timezone.now() - timedelta(minutes=5) if state == "succeeded" else None
        Call.objects.filter(id=call.id).update(ended_at=end)

    assert owner.post(f"/budgets/holds/{flying.id}/release", {"reason": "x"}).status_code == 409
    assert owner.post(f"/budgets/holds/{ended.id}/release", {"reason": "x"}).status_code == 302
    period = BudgetPeriod.objects.get()
    assert (period.spent, period.reserved) == (Decimal("0.87"), Decimal("0.1"))


def test_only_an_owner_releases(owner: Client) -> None:
    hold = make_held(make_used(), timedelta(minutes=9))
    builder = Client()
    builder.force_login(make_person("builder"))

    assert builder.post(f"/budgets/holds/{hold.id}/release", {"reason": "x"}).status_code == 403
    assert BudgetHold.objects.exists()


def test_the_api_makes_and_reads_them(owner: Client) -> None:
    body = {"scope": "all", "period": "day", "cost": "120.00"}

    assert owner.put("/api/v1/budgets", body, content_type="application/json").json()["cost"] == "120"
    [row] = owner.get("/api/v1/budgets").json()["items"]
    assert (row["scope"], row["spent"], row["ends"]) == ("all", "0", None)
    assert owner.put("/api/v1/budgets", body | {"period": "year"}, content_type="application/json").status_code == 422
