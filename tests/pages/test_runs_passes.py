"""The page of a run: its passes, the runs it is linked to, why it is in its state, and its limits."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.utils import timezone

from flows.models import AuditRow, Event, Person, Run, RunPass
from tests.makers import add_events, make_flow, make_person, make_request, make_run, make_team
from tests.runs.journals import DOCUMENT, make_attempt

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> Person:
    return make_person("operator", username="olga")


@pytest.fixture
def client(olga: Person) -> Client:
    client = Client()
    client.force_login(olga)
    return client


def review(status: str = "running", **fields: Any) -> Run:
    return make_run(make_flow(document=DOCUMENT), status=status, **fields)


def shown(client: Client, run: Run, rest: str = "", status: int = 200) -> str:
    answer = client.get(f"/runs/{run.public_id}{rest}")
    assert answer.status_code == status, answer.content.decode()[:2000]
    return html.unescape(answer.content.decode())


def event(run: Run, kind: str, path: str = "", **data: Any) -> None:
    Event.objects.create(run_id=run.id, seq=run.seq + 1, pass_number=run.pass_number, type=kind, path=path, data=json.dumps(data))
    run.seq += 1


def state(page: str) -> str:
    """The run's state with its reason, as it is read."""
    found = re.search(r'class="run-title">\s*<span class="state[^>]*>(.*?)<h1>', page, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split())


def two_passes(olga: Person) -> Run:
    run = review("succeeded", pass_number=2)
    make_attempt(run, "split", pass_number=1, kind="set")
    make_attempt(run, "judge", pass_number=1, status="failed", error={"class": "x", "message": "no"})
    make_attempt(run, "split", kind="set", carried=True)
    make_attempt(run, "judge", output="fine")
    RunPass.objects.create(run=run, number=2, verb="retry", by=olga, from_path="judge")
    return run


def test_the_passes_are_a_menu_that_says_who_began_each(client: Client, olga: Person) -> None:
    page = shown(client, two_passes(olga))

    assert "Pass 2 of 2" in page
    lines = re.findall(r'href="([^"]+)"[^>]*data-testid="pass">Pass (\d) <span class="muted small">([^<]+)<', page)
    assert [(number, words) for _, number, words in lines] == [("2", "retried from judge by olga"), ("1", "as it was started")]
    assert all(f"pass={number}" in address for address, number, _ in lines)


def test_a_step_whose_result_was_taken_over_says_from_which_pass(client: Client, olga: Person) -> None:
    run = two_passes(olga)
    page = shown(client, run, "?step=split")

    assert 'title="Reused from pass 1"' in page
    assert page.count('data-testid="reused"') == 1
    assert "pass=1" in page.partition('data-testid="reused-from"')[2].partition("</dd>")[0]
    assert 'data-testid="reused"' not in shown(client, run, "?pass=1")


def test_the_events_of_one_pass(client: Client, olga: Person) -> None:
    run = two_passes(olga)
    Event.objects.filter(run=run).update(pass_number=1)
    add_events(run, 1, "step.succeeded")

    assert shown(client, run, "?tab=events").count('data-testid="event"') == 2
    assert shown(client, run, "?tab=events&pass=2").count('data-testid="event"') == 1


def test_the_events_as_a_file_one_a_line(client: Client) -> None:
    run = review()
    event(run, "step.waiting", "tell", event="paid")
    address = f"/runs/{run.public_id}/events.jsonl"

    answer = client.get(address)

    async def whole() -> bytes:
        return b"".join([each async for each in answer])

    assert f'href="{address}"' in shown(client, run)
    lines = [json.loads(line) for line in async_to_sync(whole)().splitlines()]
    assert [(line["seq"], line["type"], line["path"]) for line in lines] == [(1, "run.created", ""), (2, "step.waiting", "tell")]
    assert lines[1]["data"] == {"event": "paid"}


def test_runs_that_repeat_each_other_are_linked_both_ways_as_far_as_one_may_see_them(client: Client) -> None:
    first = review("failed")
    fork = make_run(first.flow, status="succeeded", origin=first, origin_path="judge")
    hidden = make_run(make_flow(team=make_team("theirs")), status="succeeded", origin=first)
    make_attempt(fork, "split", kind="set", carried=True)

    old, new = shown(client, first), shown(client, fork, "?step=split")

    both = [f'<a href="/runs/{each.public_id}">#{each.number}</a>' for each in (hidden, fork)]
    assert f"repeated as {', '.join(both)}" in old
    assert f'repeats <a href="/runs/{first.public_id}">#{first.number}</a> from <span class="mono">judge</span>' in new
    assert "reused from the run that this one repeats" in new
    outsider = Client()
    outsider.force_login(make_person("operator", team=make_team("ours")))
    assert f"#{hidden.number}" not in shown(outsider, first)


def test_RD_9_pass_step_attempt_and_tab_are_opened_again(client: Client, olga: Person) -> None:
    page = shown(client, two_passes(olga), "?pass=1&step=judge&attempt=1")

    assert "Pass 1 of 2" in page
    assert "no" in page.partition('data-testid="attempt-error"')[2][:200]


def test_RD_10_a_wait_of_two_hours_is_waiting_with_its_reason_and_the_time_left(client: Client) -> None:
    document = DOCUMENT.replace(
        "tell: {kind: set, label: Tell, with: {values: {a: 1}}}", "tell: {kind: wait, label: Rest, with: {event: paid}}"
    )
    until = timezone.now() + timedelta(hours=2)
    run = make_run(make_flow(document=document), status="waiting", reason="tell", wake_at=until)
    make_attempt(run, "tell", status="waiting", kind="wait", next_at=until)
    event(run, "step.waiting", "tell", event="paid")

    page = shown(client, run)

    assert state(page) == "Waiting at Rest, for the event paid"
    left = page.partition('data-testid="until"')[2].partition("</span>")[0]
    assert until.isoformat()[:19] in left
    assert 'data-testid="run-head" data-state="waiting"' in page


def test_who_paused_it_is_said(client: Client) -> None:
    run = review("waiting", reason="paused", paused=True)
    event(run, "run.paused", by="olga")

    assert state(shown(client, run)) == "Waiting paused by olga"


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        ("waiting", "kill_switch", "Waiting stopped by the kill switch"),
        ("waiting_approval", "budget", "Needs approval asks what to do at its limit"),
        ("waiting_approval", "outcome_unknown", "Needs approval asks what became of a call"),
        ("failed", "timed_out", "Failed timed out"),
    ],
)
def test_other_reasons(client: Client, status: str, reason: str, words: str) -> None:
    assert state(shown(client, review(status, reason=reason))) == words


def test_a_retry_says_which_attempt_comes_next(client: Client) -> None:
    document = DOCUMENT.replace("judge: {kind: model, label: Judge,", "judge: {kind: model, label: Judge, retry: {attempts: 5},")
    run = make_run(
        make_flow(document=document), status="retrying", reason="judge", wake_at=timezone.now() + timedelta(seconds=12)
    )
    make_attempt(run, "judge", status="failed", next_at=run.wake_at)

    assert state(shown(client, run)) == "Retrying at Judge, attempt 2 of 5"


# --- limits


def stopped(**fields: Any) -> Run:
    error = json.dumps({"step": "judge", "class": "budget", "message": "The next call (about $0.31) would exceed the limit"})
    values: dict[str, Any] = {"reason": "cost", "cap_cost": "0.50", "spent": "0.42", "error": error}
    run = review("budget_stopped", **(values | fields))
    make_attempt(run, "judge", status="failed", error={"class": "budget", "message": "no room"})
    return run


def test_RD_6_a_run_that_its_limit_has_stopped_is_raised_and_resumed(client: Client) -> None:
    run = stopped()
    page = shown(client, run)
    form = shown(client, run, "/limits")

    low = client.post(f"/runs/{run.public_id}/limits", {"cost": "0.10"})
    raised = client.post(f"/runs/{run.public_id}/limits", {"cost": "$1.00", "reason": "A large one"}, follow=True)
    again = client.post(f"/runs/{run.public_id}/limits", {"cost": "1.00"})

    assert 'data-testid="raise-limits"' in page
    assert "The next call (about $0.31) would exceed the limit" in page
    assert "no room" in shown(client, stopped(error=None)), "an engine that stops a run leaves why to the call that it refused"
    assert "It is $0.50, of which $0.42 are spent or reserved. The flow allows $2.00" in form
    assert low.status_code == 422
    assert "is less than what is used. Give more than" in html.unescape(low.content.decode())
    assert raised.redirect_chain == [(f"/runs/{run.public_id}", 302)]
    assert Run.objects.get(id=run.id).pass_number == 2
    assert again.status_code == 422  # the same once more changes nothing
    assert AuditRow.objects.get(action="run.raise_limits").data["reason"] == "A large one"


def test_RD_6_above_what_the_flow_allows_an_operator_is_told_who_can(client: Client) -> None:
    run = stopped()

    answer = client.post(f"/runs/{run.public_id}/limits", {"cost": "3"})

    assert "above it, ask an owner" in shown(client, run, "/limits")
    assert answer.status_code == 403
    assert "runs.limits" in html.unescape(answer.content.decode())
    assert Run.objects.get(id=run.id).pass_number == 1


def test_a_viewer_learns_who_can_raise_it() -> None:
    viewer, run = Client(), stopped()
    viewer.force_login(make_person("viewer"))

    page = shown(viewer, run)

    assert 'data-testid="raise-limits"' not in page
    assert "Who controls its runs can raise the limit" in page


def test_an_open_question_leads_to_its_request(client: Client) -> None:
    run = review("waiting_approval", reason="budget", cap_cost="1")
    request = make_request(run)

    assert f'href="/approvals/{request.public_id}"' in shown(client, run)
