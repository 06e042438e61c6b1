"""What is old enough goes, figures stay, and a preview says before what a rule would remove."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from approvals.models import Notice, Remark, Revision
from flows.access.refusals import Forbidden, Invalid
from flows.execution.passes import PayloadsRemoved
from flows.models import AuditRow, Call, Event, Firing, Flow, Request, RetentionRule, Run
from flows.runs.actions.repeat_run import repeat_run
from flows.runs.actions.retry_run import retry_run
from orchestrator.retention import purge
from orchestrator.retention.change_retention import change_retention, drop_rule
from orchestrator.retention.rules import preview
from tests.makers import make_actor, make_flow, make_key, make_person, make_request, make_run, make_trigger
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db
CANARY = "canary-7f3a9c"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "_next_look", 0.0)


def ended(flow: Flow, days: int, status: str = "failed") -> Run:
    """A run that ended so many days ago and said the canary wherever a run can."""
    said = f'{{"name": "{CANARY}"}}'
    when = timezone.now() - timedelta(days=days)
    run = make_run(flow, status=status, input=said, output=said, error=said, ended_at=when, spent="0.42")
    make_call(run, "greet", cost="0.42", request={"name": CANARY}, response=CANARY)
    asked = make_request(run, payload={"name": CANARY}, state="approved", comment=CANARY, show=said)
    ann = make_person("approver")
    Remark.objects.create(request=asked, person=ann, kind="comment", text=CANARY)
    Revision.objects.create(request=asked, number=1, payload=said, payload_hash="0" * 64, changed_by=ann)
    return run


def everything() -> str:
    """All that the tables hold, as text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        names = [name for (name,) in cursor.fetchall()]
        found = []
        for name in names:
            cursor.execute(f'SELECT string_agg(t::text, chr(10)) FROM "{name}" t')
            found.append(cursor.fetchone()[0] or "")
    return "\n".join(found)


def test_payloads_go_and_figures_stay() -> None:
    flow = make_flow("greet")
    old, young = ended(flow, 91), make_run(flow, status="succeeded")
    change_retention(make_actor("owner"), None, 90, None, "by law")
    assert CANARY in everything()

    assert purge.purge_due() == 1

    assert CANARY not in everything()
    run, call = Run.objects.get(id=old.id), Call.objects.get(run=old)
    assert (run.spent, run.status, run.purged_at is not None) == (Decimal("0.42"), "failed", True)
    assert (call.settled, call.request, call.response) == (Decimal("0.42"), None, None)
    assert Request.objects.get(run=old).payload_hash
    assert Event.objects.filter(run=old).exists()
    assert Run.objects.get(id=young.id).purged_at is None
    assert AuditRow.objects.get(action="retention.purge").data == {"what": "payloads", "runs": 1, "days": 90}
    assert purge.purge_due() == 0


def test_what_later_tables_hold_goes_with_it_and_the_preview_counts_it() -> None:
    flow = make_flow("greet")
    run = ended(flow, 91)
    asked = Request.objects.get(run=run)
    Request.objects.filter(id=asked.id).update(terms={"quorum": 1, "values": {"name": CANARY}})
    given = {"dry": True, "given": {"a": {"output": CANARY, "port": "done", "state": {}}}, "sources": {"a": CANARY}}
    Run.objects.filter(id=run.id).update(handling=given)
    trigger = make_trigger(flow, "webhook")
    Firing.objects.create(trigger=trigger, outcome="refused", body=CANARY)
    Notice.objects.create(event="asked", key="a", subject=CANARY, facts=[["name", CANARY]], path="/", request=asked, state="sent")
    Notice.objects.create(event="alert", key="b", subject=CANARY, path="/", state="sent")
    Firing.objects.update(at=timezone.now() - timedelta(days=91))
    Notice.objects.update(created_at=timezone.now() - timedelta(days=91))

    found = preview(None, 90, None)
    change_retention(make_actor("owner"), None, 90, None)
    purge.purge_due()

    assert (found.requests, found.deliveries, found.notices) == (1, 1, 2)
    assert CANARY not in everything()
    assert Run.objects.get(id=run.id).handling == {"dry": True}
    assert Request.objects.get(run=run).terms == {"quorum": 1}


def test_a_run_that_has_not_ended_is_never_touched() -> None:
    run = make_run(make_flow("greet"), status="waiting")
    Run.objects.filter(id=run.id).update(created_at=timezone.now() - timedelta(days=400))
    change_retention(make_actor("owner"), None, 1, 1)

    assert purge.purge_due() == 0


def test_a_flow_has_a_rule_of_its_own() -> None:
    owner, strict, loose = make_actor("owner"), make_flow("strict"), make_flow("loose")
    runs = {flow.slug: ended(flow, 10) for flow in (strict, loose)}
    change_retention(owner, None, 90, None)
    change_retention(owner, strict, 7, None)

    assert purge.purge_due() == 1

    assert Run.objects.get(id=runs["strict"].id).purged_at is not None
    assert Run.objects.get(id=runs["loose"].id).purged_at is None
    assert drop_rule(owner, strict)
    assert not RetentionRule.objects.filter(flow=strict).exists()


def test_events_go_by_days_of_their_own() -> None:
    run = ended(make_flow("greet"), 31)
    change_retention(make_actor("owner"), None, None, 30)

    assert purge.purge_due() == 1

    assert not Event.objects.filter(run=run).exists()
    assert Run.objects.get(id=run.id).purged_at is None


def test_the_preview_says_what_goes_and_when_the_next_follows() -> None:
    flow = make_flow("greet")
    ended(flow, 91)
    next_one = ended(flow, 80)

    found = preview(None, 90, 90)

    assert (found.runs, found.calls, found.events) == (1, 1, 1)
    assert found.next_at == next_one.ended_at + timedelta(days=90)
    assert preview(None, None, None).runs == 0


def test_what_was_removed_is_not_done_again() -> None:
    flow = make_flow("greet")
    run = ended(flow, 91)
    change_retention(make_actor("owner"), None, 90, None)
    purge.purge_due()
    run, actor = Run.objects.select_related("flow", "version").get(id=run.id), make_actor("operator")

    with pytest.raises(PayloadsRemoved):
        retry_run(actor, run)
    with pytest.raises(PayloadsRemoved):
        repeat_run(actor, run)


def test_the_page_of_a_run_says_that_its_payloads_are_gone() -> None:
    run = ended(make_flow("greet"), 91)
    change_retention(make_actor("owner"), None, 90, None)
    purge.purge_due()
    client = Client()
    client.force_login(make_person("owner"))

    for tab in ("overview", "timeline", "events", "io", "cost", "approvals"):
        answer = client.get(f"/runs/{run.public_id}?tab={tab}")
        assert answer.status_code == 200, tab
        assert "as the rules of retention say" in answer.content.decode(), tab
    request = Request.objects.get(run=run)
    assert client.get(f"/approvals/{request.public_id}").status_code == 200
    assert client.get(f"/costs/calls/call_{Call.objects.get(run=run).id.hex}").status_code == 200


def test_it_takes_the_right_and_days_that_make_sense() -> None:
    with pytest.raises(Forbidden):
        change_retention(make_actor("builder"), None, 90, None)
    with pytest.raises(Invalid):
        change_retention(make_actor("owner"), None, 0, None)
    assert not RetentionRule.objects.exists()


def test_over_the_api(client: Any) -> None:
    ended(make_flow("greet"), 91)
    headers = {"Authorization": f"Bearer {make_key(make_person('owner'), 'admin')[1]}"}

    seen = client.post("/api/v1/retention/preview", {"payload_days": 90}, content_type="application/json", headers=headers)
    made = client.put("/api/v1/retention", {"payload_days": 90}, content_type="application/json", headers=headers)
    listed = client.get("/api/v1/retention", headers=headers)

    assert (seen.json()["runs"], made.json()["payload_days"], listed.json()["items"][0]["flow"]) == (1, 90, None)
    assert AuditRow.objects.get(action="retention.change").data["after"] == {"payload_days": 90, "event_days": None}
