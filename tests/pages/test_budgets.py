"""The budgets' pages and API: meters, the editor with its preview, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from flows.models import AuditRow, Budget, BudgetPeriod
from tests.makers import make_flow, make_person, make_run
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
        assert owner.post("/budgets/edit", given).status_code == 422, wrong
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


def test_the_api_makes_and_reads_them(owner: Client) -> None:
    body = {"scope": "all", "period": "day", "cost": "120.00"}

    assert owner.put("/api/v1/budgets", body, content_type="application/json").json()["cost"] == "120"
    [row] = owner.get("/api/v1/budgets").json()["items"]
    assert (row["scope"], row["spent"], row["ends"]) == ("all", "0", None)
    assert owner.put("/api/v1/budgets", body | {"period": "year"}, content_type="application/json").status_code == 422
