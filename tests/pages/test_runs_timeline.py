"""The timeline of a run's page."""

from __future__ import annotations

import html
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Call, Run, RunPass
from tests.makers import make_flow, make_person, make_run
from tests.runs.journals import DOCUMENT, make_attempt, make_call

pytestmark = pytest.mark.django_db
START = timezone.now() - timedelta(days=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run_of(passes: int = 1, ended: float = 40) -> Run:
    flow = make_flow(document=DOCUMENT)
    return make_run(
        flow, status="succeeded", pass_number=passes, created_at=START, started_at=at(1), ended_at=at(ended), spent="0.05"
    )


def ran(run: Run, path: str, begin: float, end: float, n: int = 1, cost: str | None = None, **fields: Any) -> None:
    make_attempt(run, path, n, started_at=at(begin), ended_at=at(end), **fields)
    if cost is not None:
        number = {"pass_number": fields["pass_number"]} if "pass_number" in fields else {}
        call = make_call(run, path, n, cost=cost, ended_at=at(end), **number)
        Call.objects.filter(id=call.id).update(started_at=at(begin))


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_person("operator"))
    return client


def shown(client: Client, run: Run, query: str = "") -> str:
    answer = client.get(f"/runs/{run.public_id}?tab=timeline{query}")
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return html.unescape(answer.content.decode())


def lane(page: str, path: str) -> str:
    found = re.search(rf'data-testid="timeline-row" data-path="{re.escape(path)}".*?</tr>', page, re.DOTALL)
    assert found is not None, path
    return found[0]


def bars(row: str) -> list[tuple[str, float, float]]:
    found = re.findall(r'<rect class="([\w\- ]+)" x="([\d.]+)%" (?:y="0" )?width="([\d.]+)%"', row)
    return [(look, float(x), float(width)) for look, x, width in found if look != "gap"]


def test_each_attempt_and_call_has_a_bar_and_retries_are_linked(client: Client) -> None:
    run = run_of()
    ran(run, "split", 10, 20, kind="set")
    ran(run, "judge", 20, 24, 1, "0.01", status="failed", next_at=at(30))
    ran(run, "judge", 32, 40, 2, "0.03")

    page = shown(client, run)

    judge = lane(page, "judge")
    assert bars(lane(page, "split")) == [("attempt succeeded", 25.0, 25.0)]
    assert bars(judge) == [
        ("attempt retrying", 50.0, 10.0),
        ("attempt succeeded", 80.0, 20.0),
        ("call succeeded", 50.0, 10.0),
        ("call succeeded", 80.0, 20.0),
    ]
    assert 'class="backoff" x1="60.00%" x2="80.00%"' in judge
    assert "8.0 s back-off after attempt 1" in judge
    assert "$0.040000" in judge  # the table has the same figures in words
    assert bars(lane(page, "")) == [("queue queue", 0.0, 25.0)]


def test_RD_5_a_pass_added_hours_later_leaves_bars_readable(client: Client) -> None:
    run = run_of(2, ended=3 * 3600 + 40)
    ran(run, "split", 0, 40, kind="set", carried=True)
    RunPass.objects.create(run=run, number=2, verb="retry", at=at(3 * 3600))
    ran(run, "judge", 3 * 3600 + 1, 3 * 3600 + 40, cost="0.01")

    page, true = shown(client, run), shown(client, run, "&scale=true")

    assert min(bars(lane(page, each))[0][2] for each in ("split", "judge")) > 40
    assert re.findall(r'data-testid="gap">([^<]+)<', page) == ["2h 59m idle"]
    assert bars(lane(true, "judge"))[0][2] < 1
    assert 'data-testid="gap"' not in true


def test_a_wait_is_dotted(client: Client) -> None:
    run = run_of()
    ran(run, "judge", 10, 30, kind="approval")

    ran(run, "tell", 30, 40, kind="set")

    assert bars(lane(shown(client, run), "judge")) == [("wait waiting", 25.0, 50.0)]


def test_items_are_nested_up_to_twenty_and_share_a_row_above(client: Client) -> None:
    few, many = run_of(), run_of()
    for run, items in ((few, 3), (many, 21)):
        ran(run, "rate", 0, 40, kind="map")
        for item in range(items):
            ran(run, f"rate[{item}].assess", item, item + 5, cost="0.001")

    nested, folded = shown(client, few), shown(client, many)

    assert len(re.findall(r'data-path="rate\[\d+\]\.assess"', nested)) == 3
    assert "Item 2 › Assess one" in nested
    assert len(re.findall(r'data-path="rate\[\d+\]\.assess"', folded)) == 0
    assert 'data-testid="folded">× 21<' in folded
    assert len([each for each in bars(lane(folded, "rate")) if each[0].startswith("call")]) == 21


def test_it_is_coloured_by_cost_for_those_who_may_see_costs(client: Client) -> None:
    run = run_of()
    ran(run, "split", 0, 10, cost="0.01")
    ran(run, "judge", 10, 40, cost="0.05")
    viewer = Client()
    viewer.force_login(make_person("viewer"))

    page, without = shown(client, run, "&colour=cost"), shown(viewer, run, "&colour=cost")

    assert (bars(lane(page, "split"))[1][0], bars(lane(page, "judge"))[1][0]) == ("call cost-1", "call cost-5")
    assert "cost-" not in lane(without, "judge")
    assert "$0.05" not in lane(without, "judge")


def test_a_run_that_has_not_begun_says_so(client: Client) -> None:
    assert "Nothing has begun" in shown(client, make_run(make_flow(document=DOCUMENT)))


def test_the_number_of_queries_does_not_grow_with_the_run(client: Client) -> None:
    run = run_of()
    ran(run, "rate", 0, 40, kind="map")
    ran(run, "rate[0].assess", 1, 2, cost="0.1")

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            shown(client, run)
        return len(caught)

    few = queries()
    for item in range(1, 40):
        ran(run, f"rate[{item}].assess", 1, 2, cost="0.1")

    assert queries() <= few
