"""The list of runs in time, and the views that people keep of it."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from flows.models import Flow, PinnedView, Run
from flows.runs.periods import period_of
from tests.makers import make_flow, make_person, make_run

pytestmark = pytest.mark.django_db
_number = itertools.count(1)


def signed_in(*roles: str) -> Client:
    client = Client()
    client.force_login(make_person(*(roles or ("operator",))))
    return client


def seen(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content.decode()[:1500]
    return answer.content.decode()


def began(flow: Flow, hours: float, status: str = "succeeded") -> Run:
    """A run that began so long ago; its identifier says so, too."""
    moment = timezone.now() - timedelta(hours=hours)
    return make_run(flow, status=status, created_at=moment, id=UUID(int=(int(moment.timestamp() * 1000) << 80) + next(_number)))


def pieces(page: str) -> list[tuple[str, int]]:
    """The address and the number of each piece of time."""
    found = re.findall(r'<a href="([^"]+)" data-piece="[^"]+" aria-label="[^"]+: (\d+) runs?"', page)
    return [(unescape(address), int(count)) for address, count in found]


def rows(page: str) -> int:
    return page.count('data-testid="run-row"')


def test_the_histogram_counts_each_run_of_the_list_once_and_each_piece_leads_to_as_many() -> None:
    client, flow = signed_in(), make_flow()
    for hours in (1.5, 1.5, 9.5, 23):
        began(flow, hours, "failed" if hours > 5 else "succeeded")
    began(flow, 30)

    page = seen(client, "/runs?started=24h")

    assert rows(page) == 4
    assert len(pieces(page)) == 24
    counts = [count for _, count in pieces(page)]
    assert sum(counts) == 4
    assert max(counts) == 2
    for address, count in pieces(page):
        if count:
            assert rows(seen(client, address)) == count
    assert page.count('<rect class="failed"') == 2
    assert page.count('<rect class="succeeded"') == 1


def test_the_histogram_goes_by_the_filters() -> None:
    client = signed_in()
    began(make_flow("one"), 2)
    began(make_flow("two"), 3)

    assert sum(count for _, count in pieces(seen(client, "/runs?flow=one"))) == 1
    assert 'data-testid="histogram"' not in seen(client, "/runs?flow=nothing")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("24h", True),
        ("2026-07-01..2026-07-15", True),
        ("2026-07-01T09:30..", True),
        ("..2026-07-15", True),
        ("2026-07-01", False),
        ("..", False),
        ("2026-13-01..", False),
        ("yesterday..", False),
        ("0000-00-00..9999-12-31", False),
        ("9999-12-31..9999-12-31", False),
    ],
)
def test_spans_are_read_and_nonsense_is_not(text: str, fits: bool) -> None:
    assert (period_of(text) is not None) is fits


def test_a_day_on_the_right_is_meant_to_its_end() -> None:
    period = period_of("2026-07-01..2026-07-02")

    assert period is not None
    assert period.until is not None
    assert period.until - period.since == timedelta(days=2)


def test_a_view_is_kept_shown_replaced_and_removed_by_its_person_alone() -> None:
    client, other = signed_in(), signed_in()
    make_run(status="failed")
    kept = {"name": " My  failures ", "query": "state=failed&started=24h&after=01&sort=-cost"}

    answer = client.post("/runs/views", kept)

    assert answer["Location"] == "/runs?state=failed&started=24h&sort=-cost"
    page = seen(client, answer["Location"])
    assert re.search(
        r'<a href="/runs\?state=failed&(?:amp;)?started=24h&(?:amp;)?sort=-cost" aria-current="page">My failures</a>', page
    )
    assert "My failures" not in seen(other, "/runs")
    client.post("/runs/views", {"name": "My failures", "query": "state=failed"})
    view = PinnedView.objects.get()
    assert view.query == "state=failed"
    assert other.post("/runs/views", {"drop": view.id.hex}).status_code == 404
    assert client.post("/runs/views", {"drop": view.id.hex}).status_code == 302
    assert not PinnedView.objects.exists()


@pytest.mark.parametrize(
    ("name", "query"), [("", "state=failed"), ("x" * 61, "state=failed"), ("a\x00b", ""), ("Long", "q=" + "x" * 1500)]
)
def test_a_view_that_cannot_be_kept_is_refused(name: str, query: str) -> None:
    assert signed_in().post("/runs/views", {"name": name, "query": query}).status_code == 422
    assert not PinnedView.objects.exists()


def test_two_chosen_runs_are_compared_and_three_are_not() -> None:
    client, flow = signed_in(), make_flow()
    chosen: list[Any] = [make_run(flow, status="succeeded").public_id for _ in range(3)]

    two = client.post("/runs/bulk", {"act": "compare", "run": chosen[:2]})
    three = client.post("/runs/bulk", {"act": "compare", "run": chosen})

    assert two["Location"] == f"/runs/compare?a={chosen[0]}&b={chosen[1]}"
    assert three["Location"] == "/runs"
