"""The list of runs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Run
from tests.makers import make_flow, make_person, make_run, make_team
from tests.runs.journals import make_attempt, make_call

pytestmark = pytest.mark.django_db


def signed_in(*roles: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_person(*roles, **fields))
    return client


def rows(page: str) -> list[str]:
    return re.findall(r'data-testid="run-row" data-id="(\w+)"', page)


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return answer.content.decode()


def link(page: str, rel: str) -> str:
    found = re.search(rf'href="([^"]+)" rel="{rel}"', page)
    assert found is not None
    return found[1].replace("&amp;", "&")


def test_RUN_1_the_address_says_what_is_listed_and_in_which_order() -> None:
    flow = make_flow("refunds")
    dear = make_run(flow, status="failed", spent="0.5")
    cheap = make_run(flow, status="failed", spent="0.01")
    make_run(flow, status="succeeded", spent="0.9")
    make_run(flow, status="failed", spent="0.7", created_at=timezone.now() - timedelta(days=3))

    page = text_of(signed_in("viewer"), "/runs?state=failed&started=24h&sort=-cost")

    assert rows(page) == [dear.public_id, cheap.public_id]


def test_it_filters_by_flow_source_tag_person_and_number() -> None:
    me = make_person("operator")
    client = Client()
    client.force_login(me)
    one = make_run(make_flow("one"), source="cli", tags=["ops", "eu"], started_by=me)
    two = make_run(make_flow("two"), source="api", tags=["ops"])

    assert rows(text_of(client, "/runs?flow=one")) == [one.public_id]
    assert rows(text_of(client, "/runs?flow=!one")) == [two.public_id]
    assert rows(text_of(client, "/runs?source=api")) == [two.public_id]
    assert rows(text_of(client, "/runs?tag=ops&tag=eu")) == [one.public_id]
    assert rows(text_of(client, "/runs?by=me")) == [one.public_id]
    assert rows(text_of(client, f"/runs?q=%23{two.number}")) == [two.public_id]
    assert rows(text_of(client, "/runs?state=!queued")) == []


def test_RUN_4_older_then_newer_gives_the_same_first_row_while_new_runs_arrive() -> None:
    flow = make_flow()
    made = [make_run(flow, events=0) for _ in range(120)]
    client = signed_in("viewer")
    first = text_of(client, "/runs")

    older = text_of(client, link(first, "next"))
    for _ in range(3):
        make_run(flow, events=0)
    newer = text_of(client, link(older, "prev"))

    assert rows(first) == [run.public_id for run in reversed(made)][:50]
    assert rows(older) == [run.public_id for run in reversed(made)][50:100]
    assert rows(newer) == rows(first)


def test_the_list_by_cost_is_paged_by_cost_too() -> None:
    flow = make_flow()
    for at in range(60):
        make_run(flow, events=0, spent=f"0.{at % 7}")
    client = signed_in("viewer")

    first = text_of(client, "/runs?sort=-cost")
    second = text_of(client, link(first, "next"))
    back = text_of(client, link(second, "prev"))

    expected = [run.public_id for run in Run.objects.order_by("-spent", "-id")]
    assert rows(first) + rows(second) == expected
    assert rows(back) == rows(first)


def test_RUN_5_a_row_changes_in_its_place_and_is_marked_when_it_does_not_match_any_more() -> None:
    flow = make_flow()
    ended, waiting = make_run(flow, status="running"), make_run(flow, status="running")
    client = signed_in("viewer")
    page = text_of(client, "/runs?state=running")
    region = re.search(r'data-live-url="([^"]+)"', page.partition('id="run-list"')[2])
    assert region is not None

    Run.objects.filter(id=ended.id).update(status="failed", ended_at=timezone.now())
    make_run(flow, status="running")
    answer = text_of(client, region[1].replace("&amp;", "&"))

    assert rows(answer) == [waiting.public_id, ended.public_id]
    assert "no longer matches" in answer
    assert answer.count('class="gone"') == 1
    assert ">1 new<" in answer
    assert "<html" not in answer
    assert 'href="/runs?state=running"' in answer  # the pill leads to the page, not to the region


def test_RUN_6_a_partly_unpriced_run_shows_that_its_cost_is_at_least_so_much() -> None:
    run = make_run(status="succeeded", spent="1.204", unpriced=1)
    make_call(run, "greet", cost="1.204")

    page = text_of(signed_in("viewer"), "/runs")

    assert '<span class="mark">≥ </span>$1.2040' in page


def test_simulated_money_is_labelled() -> None:
    run = make_run(status="succeeded", spent="0.2")
    make_call(run, "greet", cost="0.2", simulated=True)

    assert '<span class="mark sim">sim</span>' in text_of(signed_in("viewer"), "/runs")


def test_only_what_one_may_see_is_listed_and_counted() -> None:
    ours, theirs = make_team("ours"), make_team("theirs")
    mine = make_run(make_flow(team=ours))
    make_run(make_flow(team=theirs))

    page = text_of(signed_in("viewer", team=ours), "/runs")

    assert rows(page) == [mine.public_id]
    assert "1 of 1" in page


def test_nobody_is_sent_to_the_door() -> None:
    answer = Client().get("/runs?state=failed")

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login?next=/runs")


def test_the_strip_says_how_far_a_run_came() -> None:
    run = make_run(status="waiting_approval")
    make_attempt(run, "greet", status="waiting", kind="approval")

    assert 'aria-label="0 of 1 steps succeeded, Waiting at Greet"' in text_of(signed_in("viewer"), "/runs")


def test_it_distinguishes_none_yet_from_none_that_match() -> None:
    client = signed_in("viewer")

    assert 'data-kind="nothing-yet"' in text_of(client, "/runs")
    assert 'data-kind="nothing-matches"' in text_of(client, "/runs?state=failed")


def test_a_state_that_there_is_not_is_refused_and_a_parameter_nobody_knows_is_ignored() -> None:
    client = signed_in("viewer")

    assert client.get("/runs?state=broken").status_code == 422
    assert client.get("/runs?after=nonsense").status_code == 422
    assert "Ignored: foo" in text_of(client, "/runs?foo=1")


@pytest.mark.parametrize("address", ["/runs", "/runs?state=queued&sort=-cost"])
def test_the_number_of_queries_does_not_grow_with_the_rows(address: str) -> None:
    client = signed_in("viewer")

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            text_of(client, address)
        return len(caught)

    for _ in range(2):
        make_call(make_run(make_flow()), "greet", cost="0.1")
    text_of(client, address)  # what is read once in a process
    few = queries()
    for _ in range(20):
        run = make_run(make_flow())
        make_attempt(run, "greet", status="succeeded")
        make_call(run, "greet", cost="0.1")

    assert queries() <= few + 1  # the documents of versions that were never read before: one query for all
    assert few <= 12


def test_what_people_wrote_is_text() -> None:
    make_run(make_flow("f"), tags=["<script>alert(1)</script>"])

    page = text_of(signed_in("viewer"), "/runs")

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
