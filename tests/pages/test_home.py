"""The first page: figures that equal the lists they lead to, and cards for those who may see what is in them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Filling, Flow, FlowVersion, ModelEntry, Request, Run, Trigger
from orchestrator.pages.navigation import PLACES
from tests.makers import make_flow, make_person, make_request, make_run, make_team
from tests.runs.journals import make_call

pytestmark = pytest.mark.django_db


def signed_in(*roles: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_person(*(roles or ("operator",)), **fields))
    return client


def seen(client: Client, url: str = "/") -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content.decode()[:1500]
    return answer.content.decode()


def card(page: str, name: str) -> str:
    found = re.search(rf'data-testid="home-{name}">(.*?)</section>', page, re.DOTALL)
    assert found is not None, f"no card {name}"
    return found[1]


def failed(flow: Flow, *, error: str = "rate_limit", minutes: int = 5) -> Run:
    said = {"step": "classify", "class": error, "message": "Slow down."}
    return make_run(flow, status="failed", error=json.dumps(said), ended_at=timezone.now() - timedelta(minutes=minutes))


def test_HOME_1_what_needs_one_is_counted_and_the_earliest_due_stand_first() -> None:
    client = signed_in("approver")
    now = timezone.now()
    for hours in (7, 3, 5, 1, 6, 2, 4):
        asked = make_request(due=now + timedelta(hours=hours), terms={"approvers": {}})
        Request.objects.filter(id=asked.id).update(title=f"Due in {hours}")

    shown = card(seen(client), "needs")

    assert 'Needs you <span class="count">7</span>' in shown
    assert re.findall(r"Due in (\d)", shown) == ["1", "2", "3", "4", "5"]


def test_HOME_2_equal_errors_are_one_row_with_their_number_and_since_when() -> None:
    flow = make_flow("refunds")
    for minutes in (70, 60, 50, 40, 30, 20, 10):
        failed(flow, minutes=minutes)
    make_run(flow, status="succeeded", ended_at=timezone.now() - timedelta(minutes=5))
    client = signed_in()

    shown = card(seen(client), "broken")

    assert shown.count('data-testid="breakage"') == 1
    assert "7 of the last 8 failed" in shown
    link = re.search(r'<a href="(/runs\?[^"]+)">7 runs</a>', shown)
    assert link is not None
    assert "rate_limit" in shown
    assert "classify" in shown
    since = re.search(r'since <time class="" datetime="([^"]+)"', shown)
    assert since is not None
    first = Run.objects.order_by("ended_at").values_list("ended_at", flat=True).first()
    assert first is not None
    assert datetime.fromisoformat(since[1]) == first.replace(microsecond=first.microsecond // 1000 * 1000)
    failed(flow, error="timeout", minutes=5)
    assert seen(client, unescape(link[1])).count('data-testid="run-row"') == 7, "the list that it leads to"


def test_equal_failures_are_retried_together_once_it_was_said_which_and_what_they_cost() -> None:
    client, flow = signed_in(), make_flow("refunds")
    equal = {failed(flow, minutes=minutes).public_id for minutes in (20, 10)}
    stopped = make_run(flow, status="budget_stopped", reason="cost", ended_at=timezone.now())
    failed(flow, error="timeout", minutes=5)
    shown = card(seen(client), "broken")
    buttons = dict(re.findall(r'name="matching" value="([^"]+)".*?>(Retry \d+…)</button>', shown))
    asked = {unescape(query): words for query, words in buttons.items()}
    query = next(query for query, words in asked.items() if words == "Retry 2…")

    page = client.post("/runs/bulk", {"act": "retry", "matching": query}).content.decode()

    assert "Retry 2 runs?" in page
    assert set(re.findall(r'name="run" value="(\w+)"', page)) == equal
    assert len(asked) == 2, "what a limit has stopped goes on by raising it"
    assert stopped.public_id not in page
    assert "retry-broken" not in card(seen(signed_in("viewer")), "broken")


def test_a_flow_that_works_again_is_not_broken() -> None:
    flow = make_flow()
    failed(flow)
    make_run(flow, status="succeeded")

    assert "Nothing is broken." in card(seen(signed_in()), "broken")


def test_HOME_3_a_number_of_runs_leads_to_as_many() -> None:
    flow = make_flow()
    for _ in range(9):
        make_run(flow, status="running")
    make_run(flow, status="waiting")
    client = signed_in()

    link = re.search(r'<a href="(/runs\?[^"]+)" data-testid="in-state" data-state="running">9 running</a>', seen(client))

    assert link is not None
    assert seen(client, unescape(link[1])).count('data-testid="run-row"') == 9


def test_HOME_4_what_was_spent_today_is_what_the_explorer_says() -> None:
    run = make_run(make_flow(), status="succeeded")
    make_call(run, "a", cost="0.0412345678")
    make_call(run, "b", cost="5", simulated=True)
    yesterday = make_call(run, "c", cost="3")
    type(yesterday).objects.filter(id=yesterday.id).update(started_at=timezone.now() - timedelta(days=1))
    client = signed_in()

    page = seen(client)
    spent = re.search(r'data-testid="spent-today"><span class="figure" data-money="([^"]+)"', page)
    link = re.search(r'<a href="(/costs\?[^"]+)">Costs</a>', page)

    assert spent is not None
    assert link is not None
    total = re.search(r'data-testid="total"><span class="figure" data-money="([^"]+)"', seen(client, unescape(link[1])))
    assert total is not None
    assert Decimal(spent[1]) == Decimal(total[1]) == Decimal("0.0412345678")


def test_HOME_7_without_a_real_model_the_page_says_that_all_is_simulated() -> None:
    assert "no external calls" in seen(signed_in())

    ModelEntry.objects.create(slug="real", model="openai/real")
    assert "no external calls" not in seen(signed_in())


def test_what_happened_since_somebody_was_here_is_told_once_they_were_away() -> None:
    client = signed_in()
    assert "Since" not in seen(client)
    run = failed(make_flow())
    make_call(run, "a", cost="2")
    assert "Since" not in seen(client), "nobody was away"

    client.cookies["visits"] = f".{int((datetime.now(UTC) - timedelta(hours=3)).timestamp())}"
    page = seen(client)

    told = re.search(r'data-testid="digest">(.*?)</p>', page, re.DOTALL)
    assert told is not None
    since, _, happened = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", told[1])).partition(": ")
    assert re.fullmatch(r"Since (3 h ago|Yesterday \d\d:\d\d)", since), "after midnight, three hours ago is yesterday"
    assert happened.startswith("1 run, 1 failed, $2.00 spent, 0 decided")


@pytest.mark.parametrize("cookie", ["x.y", "99999999999999.1", ".", "-5.-5", "1.2.3.4"])
def test_a_cookie_that_nobody_set_so_breaks_nothing(cookie: str) -> None:
    client = signed_in()
    client.cookies["visits"] = cookie

    seen(client)


def test_only_what_one_started_is_shown_where_one_asks_for_it() -> None:
    flow, client = make_flow(), Client()
    me = make_person("operator")
    client.force_login(me)
    make_run(flow, status="running", started_by=me)
    make_run(flow, status="running")

    assert ">2 running</a>" in seen(client)
    mine = seen(client, "/?scope=me")
    assert 'href="/runs?state=running&by=me"' in mine
    assert ">1 running</a>" in mine


def test_cards_are_absent_without_their_right_and_other_teams_stay_unseen() -> None:
    make_run(make_flow(team=make_team()), status="running")
    page = seen(signed_in("viewer", team=make_team()))

    assert 'data-testid="home-money"' not in page
    assert "0</span></h2>" in card(page, "flight")
    assert signed_in("viewer").get("/?card=money").status_code == 404


def test_the_schedules_of_the_next_hours_stand_in_order_and_those_that_do_nothing_are_absent() -> None:
    owner, now = make_person("owner"), timezone.now()

    def schedule(name: str, hours: float, flow: Flow | None = None, **fields: Any) -> None:
        settings = {"cron": "0 9 * * *", "zone": "UTC"}
        at = {"next_fire_at": now + timedelta(hours=hours), "settings": settings, "owner": owner, "created_by": owner}
        Trigger.objects.create(flow=flow or make_flow(), kind="schedule", name=name, **at, **fields)

    schedule("Second", 2)
    schedule("First", 1)
    schedule("Too late", 4)
    schedule("Paused", 1, paused_at=now)
    schedule("Not published", 1, make_flow(published=False))
    schedule("Of others", 1, make_flow(team=make_team()))

    shown = card(seen(signed_in("viewer", team=make_team())), "coming")

    assert re.findall(r">(First|Second|Too late|Paused|Not published|Of others)</a>", shown) == ["First", "Second"]


@pytest.mark.parametrize("name", ["needs", "broken", "money", "coming", "flight"])
def test_each_card_comes_alone_too(name: str) -> None:
    answer = seen(signed_in(), f"/?card={name}")

    assert answer.lstrip().startswith("<section")
    assert f'id="home-{name}"' in answer


def test_the_number_of_queries_does_not_grow() -> None:
    client = signed_in()

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            seen(client)
        return len(caught)

    flow = make_flow()
    failed(flow)
    make_run(flow, status="running")
    make_request()
    queries()  # the first time the reader's zone is noted
    before = queries()
    for _ in range(10):
        other = make_flow()
        failed(other)
        make_run(other, status="running")
        make_request()
    queries()  # the documents of the flows that are new are read once

    assert queries() == before
    assert before <= 20


def test_FST_1_the_change_of_the_flow_is_ticked_once_it_was_tested_published_and_compared() -> None:
    flow = make_flow("refund_decision")
    Filling.objects.create(ended_at=timezone.now() - timedelta(minutes=5))
    client = signed_in("builder")
    client.cookies["first"] = ".comparison"

    def last() -> tuple[str, str]:
        items = re.findall(r'data-testid="first-item" data-done="(\w+)".*?</li>', seen(client))
        links = re.findall(r'href="(/flows/refund_decision/[^"?]+)', card_of_first(seen(client)))
        return items[-1], links[-1] if links else ""

    FlowVersion.objects.create(flow=flow, number=2, document=flow.draft, hash="1" * 64)
    assert last() == ("no", "/flows/refund_decision/edit")
    make_run(flow, status="succeeded", purpose="test")
    assert last()[0] == "yes"
    assert "/edit" not in card_of_first(seen(signed_in("operator"))), (
        "who may not change a flow is not led to where they are refused"
    )
    assert 'data-testid="first-steps"' not in seen(signed_in("viewer"))


def card_of_first(page: str) -> str:
    return page[page.index('data-testid="first-steps"') :].partition("</section>")[0]


def test_FST_3_an_empty_installation_says_on_every_screen_what_belongs_there() -> None:
    owner = signed_in("owner")

    for place in PLACES:
        page = owner.get(place.url, follow=True).content.decode().split("<main", 1)[1]
        words = re.sub(r"<[^>]+>|\s+", " ", page)
        assert len(words.split()) > 12, f"{place.url}: {words}"
        assert 'data-testid="problem"' not in page, place.url
    for url in ("/runs", "/approvals", "/flows", "/costs", "/models", "/tools", "/knowledge", "/memory", "/triggers", "/budgets"):
        page = seen(owner, url)
        assert 'data-testid="empty"' in page, f"{url} says what belongs there"
    home = seen(owner)
    assert "There is no flow yet." in home
    assert 'href="/templates"' in home
    assert 'data-testid="first-steps"' not in home
    assert "There is no demonstration here" in seen(owner, "/settings/demonstration")
