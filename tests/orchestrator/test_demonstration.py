"""The demonstration whole: brought once, in every state that a run can be in, with true money, and removed again without a trace of it
and without touching what people made."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from approvals.models import Policy
from approvals.reads import requests_in
from flows.access.actor import Actor
from flows.costs.budgets import gauges
from flows.costs.reports import UNPRICED, differing_reports, differing_runs
from flows.engine.states import RUN_STATES
from flows.models import (
    AuditRow,
    Call,
    Event,
    Filling,
    Flow,
    KnowledgeDocument,
    ModelEntry,
    Person,
    Price,
    Request,
    Run,
    Seeded,
    Team,
    ToolEntry,
    Trigger,
)
from orchestrator.demonstration.states import standing
from orchestrator.seeding import history
from orchestrator.seeding.cast import SEED
from tests.makers import make_flow, make_key, make_person, make_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def brought(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> str:
    """What `seed ui` said in an installation where there is an owner already; a past of few runs."""
    monkeypatch.setattr(history, "UNPRICED", 5)
    monkeypatch.setattr("orchestrator.seeding.ui.SCALE", 0.02)
    with connection.cursor() as cursor:
        cursor.execute("ALTER SEQUENCE flows_run_number RESTART")  # other tests have had runs
    make_person("owner", username="ann")
    call_command("seed", "ui")
    said: str = capsys.readouterr().out
    return said


def test_FST_4_the_demonstration_comes_once_and_goes_without_what_people_made(brought: str, capsys: Any) -> None:
    shows_everything(brought)
    call_command("seed", "ui")
    assert "there already" in capsys.readouterr().out
    ann = Person.objects.get(username="ann")
    own = make_flow("own")
    run, flow = make_run(own), Flow.objects.get(slug="refund_decision")
    ours = make_run(flow, status="succeeded", ended_at=timezone.now())
    before, told = Seeded.objects.count(), Run.objects.count()
    page = Client()
    page.force_login(ann)

    shown = page.get("/settings/demonstration").content.decode()
    there = page.get("/").content.decode()

    assert "flow Refund decision" in shown
    assert "1 of its runs is yours" in shown
    assert 'data-testid="first-steps"' in there
    assert (Seeded.objects.count(), Run.objects.count()) == (before, told), "looking removes nothing"
    _, key = make_key(ann, "admin")
    removed = Client().delete("/api/v1/demonstration", headers={"Authorization": f"Bearer {key}"}).json()
    assert removed["gone"]["run"] == told - 2
    assert {"what": "flow Refund decision", "why": "1 of its runs is yours"} in removed["stays"]

    assert set(Run.objects.values_list("id", flat=True)) == {run.id, ours.id}
    assert set(Flow.objects.values_list("slug", flat=True)) == {"own", "refund_decision"}
    for gone in (Request, Trigger, Filling, Seeded, Price, KnowledgeDocument):
        assert not gone.objects.filter(**({"model__in": ["large-1"]} if gone is Price else {})).exists(), gone
    assert set(ToolEntry.objects.values_list("slug", flat=True)) == {"mail.send", "refunds.create"}, (
        "the flow that stays calls them"
    )
    assert set(Team.objects.values_list("slug", flat=True)) == {"finance"}, "its approvers"
    assert set(Policy.objects.values_list("slug", flat=True)) == {"refunds-over-250"}
    assert not ModelEntry.objects.filter(simulated=False).exists()
    assert Person.objects.filter(is_active=True).get() == ann
    assert (differing_runs(), differing_reports()) == ([], {})
    assert AuditRow.objects.filter(action="demonstration.remove", actor=ann).exists()
    assert standing().state == "none"


def shows_everything(said: str) -> None:
    """What the demonstration is for."""
    assert "sign in as operator" in said
    assert Run.objects.filter(status__in=RUN_STATES).values("status").distinct().count() == len(RUN_STATES)
    failed = Run.objects.get(number=1842)
    assert (failed.status, failed.pass_number, failed.flow.slug) == ("failed", 2, "refund_decision")
    assert failed.attempts.filter(pass_number=2, path="refund_small", status="failed").count() == 3
    fallen = Run.objects.get(number=1839)
    assert fallen.status == "succeeded"
    assert set(fallen.calls.filter(path="classify").values_list("target", "error_class")) == {
        ("sim-down", "unavailable"),
        ("sim-small", ""),
    }
    assert Run.objects.get(number=1851).requests.get().title.startswith("Refund 420")
    assert Run.objects.filter(status="running", attempts__path="rate").exists()
    operator = Actor(person=Person.objects.get(username="operator"))
    assert (requests_in(operator, "mine").count(), requests_in(SEED, "all").count()) == (7, 19)
    assert {"approval", "budget", "publish", "test", "unknown"} <= set(Request.objects.values_list("kind", flat=True))
    lost = Call.objects.get(target="letters.post")
    assert (lost.status, lost.run.status) == ("unknown", "waiting_approval"), "the engine asked because it does not know"
    assert Request.objects.filter(terms__quorum=2, terms__risk="high", votes__isnull=False, state="pending").exists()
    assert Call.objects.filter(UNPRICED).count() == 5
    assert {"provider", "estimated"} <= set(
        Call.objects.filter(simulated=False, kind="model").values_list("usage_source", flat=True)
    )
    assert Price.objects.filter(model__in=("large-1", "small-1")).count() == 5
    gauged = {each.budget.subject: each for each in gauges() if each.budget.period == "month"}
    assert set(gauged) == {"", "support-triage"}
    for subject, least, most in (("", 0.81, 0.83), ("support-triage", 1.0, 1.2)):  # of so few runs the limit is a rounded figure
        spent, limit = gauged[subject].spent, gauged[subject].budget.cost
        assert limit
        assert least < spent / limit < most or spent == 0, "nothing yet where a month has just begun"
    assert (differing_runs(), differing_reports()) == ([], {})
    calls = {f"call_{call.hex}" for call in Call.objects.values_list("id", flat=True)}
    for data in Event.objects.filter(type="step.started", data__contains="call_").values_list("data", flat=True):
        assert data.split('"call":"')[1].split('"')[0] in calls, "an event names a call of its own run"
