"""Two runs side by side."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Flow, FlowVersion, Run
from tests.makers import make_flow, make_person, make_run, make_team
from tests.runs.journals import DOCUMENT, make_attempt, make_call

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(make_person("operator"))
    return client


@pytest.fixture
def flow() -> Flow:
    return make_flow(document=DOCUMENT)


def reviewed(flow: Flow, verdict: str = "fine", cost: str = "0.10", seconds: float = 10, **fields: Any) -> Run:
    """A run that split, rated two items, judged and told."""
    now = timezone.now()
    fields.setdefault("status", "succeeded")
    run = make_run(flow, spent=cost, spent_tokens=1100, started_at=now - timedelta(seconds=seconds), ended_at=now, **fields)
    make_attempt(run, "split", kind="set", output={"a": 1}, started_at=now - timedelta(seconds=seconds))
    make_attempt(run, "rate", kind="map", output=["low", "high"])
    make_call(run, "judge", cost=cost)
    make_attempt(run, "judge", output={"verdict": verdict, "why": "as before"})
    return run


def seen(client: Client, a: Run, b: Run | None, more: str = "") -> str:
    other = f"&b={b.public_id}" if b is not None else ""
    answer = client.get(f"/runs/compare?a={a.public_id}{other}{more}")
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return re.sub(r"\s+", " ", html.unescape(answer.content.decode()))


def keys(page: str) -> list[str]:
    return re.findall(r'data-testid="compared" data-key="([^"]+)"', page)


def totals(page: str) -> str:
    return re.sub(
        r"<[^>]+>", "", page[page.index('data-testid="totals">') :].split("</p>", maxsplit=1)[0].split(">", 1)[1]
    ).strip()


def test_CMP_1_equal_runs_say_so_and_show_deltas(client: Client, flow: Flow) -> None:
    page = seen(client, reviewed(flow), reviewed(flow, cost="0.25", seconds=12))

    assert "No differences in outputs." in page
    assert keys(page) == []
    assert totals(page) == "B against A: +2.0 s slower · +$0.1500 dearer · the same tokens"
    assert keys(seen(client, reviewed(flow), reviewed(flow), "&only=all")) == ["split", "rate", "judge", "tell"]


def test_CMP_2_the_step_where_they_part_first_is_selected(client: Client, flow: Flow) -> None:
    page = seen(client, reviewed(flow), reviewed(flow, "poor"))

    assert keys(page) == ["judge"]
    row = page[page.index('data-key="judge"') :]
    assert 'aria-selected="true"' in row[:200]
    assert "first difference" in row
    assert "differs in 1 field" in row
    assert '<td class="name">verdict</td><td class="before">fine</td><td class="after">poor</td>' in row
    assert "as before" not in row


def test_CMP_3_a_step_of_one_run_only(client: Client, flow: Flow) -> None:
    document = DOCUMENT.replace("tell: {kind: set, label: Tell", "say: {kind: set, label: Say").replace("> tell", "> say")
    other = FlowVersion.objects.create(flow=flow, number=2, hash="1" * 64, document=document)
    a, b = reviewed(flow), reviewed(flow)
    Run.objects.filter(id=b.id).update(version=other)

    page = seen(client, a, b)

    assert keys(page) == ["tell", "say"]
    assert "not in this run" in page
    assert 'data-verdict="not in B"' in page
    assert 'data-verdict="not in A"' in page
    assert "They ran different versions: v1 and v2." in page
    assert f"/flows/{flow.slug}/versions/compare?from=v1&to=v2" in page


def test_CMP_4_swapping_flips_the_signs(client: Client, flow: Flow) -> None:
    a, b = reviewed(flow), reviewed(flow, cost="0.25", seconds=12)

    page = seen(client, b, a)

    assert totals(page) == "B against A: −2.0 s faster · −$0.1500 cheaper · the same tokens"
    assert f'href="/runs/compare?a={a.public_id}&b={b.public_id}" data-testid="swap"' in page


def test_CMP_5_deltas_carry_a_sign_and_a_word(client: Client, flow: Flow) -> None:
    page = seen(client, reviewed(flow), reviewed(flow, cost="0.25"), "&only=all")

    row = page[page.index('data-key="judge"') :]
    assert '<span class="figure" data-sign="+">+$0.1500</span> dearer' in row


def test_one_run_alone_offers_those_of_its_flow(client: Client, flow: Flow) -> None:
    a, b = reviewed(flow), reviewed(flow)
    make_run(make_flow())

    page = seen(client, a, None)

    assert re.findall(r'data-testid="choice"', page) == ['data-testid="choice"']
    assert f"a={a.public_id}&b={b.public_id}" in page
    assert "Choose a run" in client.get("/runs/compare").content.decode()


def test_runs_of_two_flows_are_compared_by_name(client: Client, flow: Flow) -> None:
    page = seen(client, reviewed(flow), reviewed(make_flow(document=DOCUMENT), "poor"))

    assert "These are runs of two flows." in page
    assert keys(page) == ["judge"]


def test_costs_are_for_those_who_may_see_them(flow: Flow) -> None:
    viewer = Client()
    viewer.force_login(make_person("viewer"))

    page = seen(viewer, reviewed(flow), reviewed(flow, cost="0.25"), "&only=all")

    assert "$" not in page[page.index('data-testid="totals"') :]


def test_a_run_that_one_may_not_see_is_not_there(client: Client, flow: Flow) -> None:
    stranger = Client()
    stranger.force_login(make_person("operator", team=make_team()))
    hidden = reviewed(make_flow(document=DOCUMENT, team=make_team()))

    assert stranger.get(f"/runs/compare?a={hidden.public_id}").status_code == 404
    assert client.get("/runs/compare?a=run_nonsense").status_code == 404


def test_the_number_of_queries_does_not_grow(client: Client, flow: Flow) -> None:
    a, b = reviewed(flow), reviewed(flow, "poor")
    seen(client, a, b)
    with CaptureQueriesContext(connection) as few:
        seen(client, a, b)
    for n in range(30):
        make_attempt(a, f"rate[{n}].assess", output="low")
        make_call(a, f"rate[{n}].assess")
    with CaptureQueriesContext(connection) as many:
        seen(client, a, b)

    assert len(many) == len(few) <= 16


def test_a_run_that_repeats_another_leads_to_the_comparison(client: Client, flow: Flow) -> None:
    a = reviewed(flow)
    b = reviewed(flow, origin=a)

    page = html.unescape(client.get(f"/runs/{b.public_id}").content.decode())

    assert f"/runs/compare?a={a.public_id}&b={b.public_id}" in page
    assert f"/runs/compare?a={b.public_id}" in page
