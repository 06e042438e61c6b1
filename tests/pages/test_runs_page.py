"""The page of one run: what it opens on, its tabs, its regions, cancelling it."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.models import Attempt, Event, Request, Run
from tests.makers import add_events, make_flow, make_person, make_request, make_run, make_team
from tests.runs.journals import DOCUMENT, make_attempt, make_call

pytestmark = pytest.mark.django_db

XSS = "<img src=x onerror=alert(1)>"


def signed_in(*roles: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(make_person(*roles, **fields))
    return client


def review(status: str = "running", **fields: Any) -> Run:
    return make_run(make_flow(document=DOCUMENT), status=status, **fields)


def text_of(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.content.decode()[:2000]
    return answer.content.decode()


def at(run: Run, query: str = "") -> str:
    return f"/runs/{run.public_id}{query}"


def states(page: str) -> dict[str, str]:
    return dict(re.findall(r'data-testid="step-row" data-path="([^"]+)" data-state="(\w+)"', page))


def failed_run() -> Run:
    error = {"step": "judge", "class": "rate_limit", "message": f"429 rate limited {XSS}"}
    run = review("failed", error=json.dumps(error), spent="0.0421")
    make_attempt(run, "split", kind="set")
    make_attempt(run, "rate", kind="map", output=[])
    for n in (1, 2, 3):
        retried = {"next_at": timezone.now()} if n < 3 else {}
        make_attempt(
            run, "judge", n, status="failed", error={"class": "rate_limit", "message": f"try {n} was refused"}, **retried
        )
        request = {"model": "small-1", "messages": [{"role": "user", "content": f"Judge this, take {n} {XSS}"}]}
        make_call(run, "judge", n, cost="0.01", status="failed_retryable", request=request)
    make_call(run, "rate[0].assess", cost="0.0121")
    return run


def test_RD_1_a_failed_run_opens_on_the_failed_step_with_message_attempt_and_input() -> None:
    page = text_of(signed_in("operator"), at(failed_run()))

    assert "after 3 tries" in page
    assert "429 rate limited" in page
    inspector = page.partition('data-testid="inspector"')[2]
    assert "try 3 was refused" in inspector
    assert "Judge this, take 3" in inspector
    assert re.search(r'aria-current="true" data-testid="attempt">3<', inspector)
    assert XSS not in page


def test_RD_9_step_attempt_and_tab_of_the_address_are_opened_again() -> None:
    run, client = failed_run(), signed_in("operator")

    page = text_of(client, at(run, "?step=judge&attempt=1"))
    inspector = page.partition('data-testid="inspector"')[2]

    assert "try 1 was refused" in inspector
    assert "Judge this, take 1" in inspector
    assert "take 3" not in inspector
    text_of(client, at(run, "?step=nothing"), 404)


def test_the_steps_have_states_and_what_was_not_reached_is_skipped() -> None:
    page = text_of(signed_in("viewer"), at(failed_run()))

    assert states(page) == {"split": "succeeded", "rate": "succeeded", "judge": "failed", "tell": "skipped"}


def test_the_items_of_a_map_are_counted_by_state_and_listed_on_demand() -> None:
    run = review()
    make_attempt(run, "rate", status="open", kind="map")
    for item in range(60):
        make_attempt(run, f"rate[{item}].assess")
    make_attempt(run, "rate[60].assess", status="failed", error={"class": "refused", "message": "no"})
    make_call(run, "rate[61].assess", status="started", cost=None, ended_at=None)
    client = signed_in("operator")

    page = text_of(client, at(run, "?step=rate"))

    assert "62 items" in page
    assert page.count('data-testid="item-row"') == 50
    assert "after=49" in page
    more = text_of(client, at(run, "?step=rate&after=49"))
    assert re.findall(r'data-testid="item-row" data-path="rate\[(\d+)\]"', more) == [str(at) for at in range(50, 62)]
    bad = text_of(client, at(run, "?step=rate&items=failed"))
    assert re.findall(r'data-testid="item-row" data-path="([^"]+)" data-state="(\w+)"', bad) == [("rate[60]", "failed")]


def test_RD_7_one_item_of_ten_thousand_is_found_by_its_number() -> None:
    run, client = review(), signed_in("operator")
    make_attempt(run, "rate", status="open", kind="map")
    Attempt.objects.bulk_create(
        [
            Attempt(run=run, path=f"rate[{n}].assess", n=1, seq=n, kind="model", status="succeeded", pass_number=1)
            for n in range(10_000)
        ]
    )

    for written in ("9873", "%239,873", "Item 9873"):
        found = text_of(client, at(run, f"?step=rate&item={written}&items=failed"))
        rows = re.findall(r'data-path="(rate\[\d+\])" data-state="\w+"( aria-current="true")?', found)
        assert rows[:2] == [("rate[9873]", ' aria-current="true"'), ("rate[9874]", "")]

    assert "Item 12000 has not begun." in text_of(client, at(run, "?step=rate&item=12,000"))
    assert "“the last” is no number." in text_of(client, at(run, "?step=rate&item=the last"))
    assert 'data-testid="item-search"' in text_of(client, at(run, "?step=rate"))


def test_an_item_opens_with_its_steps_and_their_calls() -> None:
    run, client = review(), signed_in("operator")
    make_attempt(run, "rate", status="open", kind="map")
    make_attempt(run, "rate[7].assess", output={"risk": "low"})
    make_call(run, "rate[7].assess", cost="0.01", response={"text": "", "output": {"risk": "low"}})

    item = text_of(client, at(run, "?step=rate[7]"))
    inner = text_of(client, at(run, "?step=rate[7].assess"))

    assert 'data-testid="item-step" data-path="rate[7].assess" data-state="succeeded"' in item
    assert states(inner)["rate[7].assess"] == "succeeded"
    assert "risk" in inner.partition('data-testid="inspector"')[2]


def test_a_queued_run_shows_its_plan() -> None:
    page = text_of(signed_in("viewer"), at(review("queued")))

    assert set(states(page).values()) == {"queued"}
    assert "It has not begun." in page


def test_the_graph_has_a_node_a_step_with_links_and_words() -> None:
    page = text_of(signed_in("viewer"), at(failed_run()))

    assert re.findall(r'data-testid="node" data-id="([\w.]+)" data-state="(\w+)"', page) == [
        ("split", "succeeded"),
        ("rate", "succeeded"),
        ("rate.assess", "cancelled"),
        ("judge", "failed"),
        ("tell", "skipped"),
    ]
    assert "Split leads to Rate each." in page
    assert "Judge leads to Tell, Tell (error)." in page
    assert "style=" not in page  # the policy takes no inline styles


def test_an_earlier_pass_is_looked_at_by_its_number() -> None:
    run = review("succeeded", pass_number=2)
    make_attempt(run, "split", pass_number=1, status="failed", error={"class": "x", "message": "first pass"})
    make_attempt(run, "split", pass_number=2)
    client = signed_in("viewer")

    assert states(text_of(client, at(run)))["split"] == "succeeded"
    first = text_of(client, at(run, "?pass=1&step=split"))
    assert states(first)["split"] == "failed"
    assert "first pass" in first


def test_RD_3_the_sum_of_the_steps_is_the_figure_in_the_head_exactly() -> None:
    run = review("succeeded", spent="0.123456789013")
    for item, cost in enumerate(("0.000000000001", "0.023456789012")):
        make_call(run, f"rate[{item}].assess", cost=cost)
    make_call(run, "judge", cost="0.1")

    page = text_of(signed_in("operator"), at(run, "?tab=cost"))

    rows = re.findall(r'data-testid="cost-row" data-path="([^"]+)".*?data-money="([\d.]+)" title=', page, re.DOTALL)
    assert dict(rows) == {"judge": "0.100000000000", "rate[].assess": "0.023456789013"}
    total = re.search(r'data-testid="cost-total"><span class="figure" data-money="([\d.]+)"', page)
    head = re.search(r'data-testid="run-cost">.*?data-money="([\d.]+)"', page, re.DOTALL)
    assert total is not None
    assert head is not None
    assert Decimal(total[1]) == Decimal(head[1]) == Decimal("0.123456789013") == sum(Decimal(cost) for _, cost in rows)
    assert "sum to the run's figure exactly" in page
    assert page.count('data-testid="call-row"') == 3


def test_unpriced_estimated_and_wasted_calls_are_told_apart() -> None:
    run = review("succeeded", spent="0.3", unpriced=1)
    make_call(run, "judge", cost="0.1", usage_source="estimated")
    make_call(run, "judge", 2, cost="0.2", status="failed_final")
    make_call(run, "rate[0].assess", cost=None)

    page = text_of(signed_in("operator"), at(run, "?tab=cost"))

    total = page.partition('data-testid="cost-total"')[2][:200]
    assert "≥" in total
    assert "1 call without a known price" in page
    assert "1 estimated" in page
    assert "$0.200000 wasted" in page


def test_costs_need_their_right_and_are_not_offered_without_it() -> None:
    run = failed_run()
    client = signed_in("viewer")

    page = text_of(client, at(run))
    refused = text_of(client, at(run, "?tab=cost"), 403)
    text_of(client, at(run, "/regions/cost"), 403)

    assert "tab=cost" not in page
    assert "receipt-link" not in page
    assert "costs.see" in refused


def test_a_run_that_one_may_not_see_is_not_there() -> None:
    run = make_run(make_flow(team=make_team("theirs")))
    client = signed_in("operator", team=make_team("ours"))

    for address in (at(run), at(run, "/regions/head"), at(run, "/cancellation"), "/runs/run_nonsense"):
        text_of(client, address, 404)
    assert client.post(at(run, "/cancellation")).status_code == 404


def test_every_region_has_one_root_and_follows_the_run() -> None:
    run = failed_run()
    client = signed_in("operator")

    for name in ("head", "progress", "inspector", "events", "cost", "approvals", "io"):
        region = text_of(client, at(run, f"/regions/{name}?step=judge")).strip()
        assert region.startswith(f'<div id="run-{name}"')
        assert f'data-live-topic="run:{run.public_id}"' in region
        assert f'data-seq="{run.seq}"' in region
        assert "<html" not in region
    text_of(client, at(run, "/regions/nothing"), 404)


def test_the_links_of_a_region_lead_to_the_page() -> None:
    run = failed_run()

    region = text_of(signed_in("operator"), at(run, "/regions/progress?step=judge"))

    assert f'href="{at(run, "?step=split")}"' in region
    assert "/regions/progress?step=split" not in region


def test_the_page_keeps_its_step_while_the_run_goes_on() -> None:
    run = review()
    make_attempt(run, "split", kind="set", output={"a": 1})
    make_call(run, "judge", status="started", cost=None, ended_at=None)

    page = text_of(signed_in("operator"), at(run))

    assert f'data-live-url="{at(run, "/regions/inspector?step=judge")}"' in page


def test_events_come_newest_first_older_on_demand_and_by_type() -> None:
    run = make_run(events=250)
    client = signed_in("viewer")

    page = text_of(client, at(run, "?tab=events"))
    numbers = [int(seq) for seq in re.findall(r'data-testid="event" data-seq="(\d+)"', page)]
    older = text_of(client, at(run, "?tab=events&before=51"))

    assert numbers == list(range(250, 50, -1))
    assert "before=51" in page
    assert [int(seq) for seq in re.findall(r'data-testid="event" data-seq="(\d+)"', older)] == list(range(50, 0, -1))
    add_events(run, 1, "step.failed")
    for query in ("?tab=events&type=step.failed", "?tab=events&only=problems"):
        assert re.findall(r'data-type="([\w.]+)"', text_of(client, at(run, query))) == ["step.failed"]


def test_input_and_output_are_shown_as_text() -> None:
    run = make_run(status="succeeded", input=json.dumps({"name": XSS}), output=json.dumps({"text": "Hello"}))

    page = text_of(signed_in("viewer"), at(run, "?tab=io"))

    assert "Hello" in page
    assert "&lt;img src=x" in page
    assert XSS not in page


def test_the_requests_of_a_run_lead_to_their_pages() -> None:
    asked = make_request()
    assert asked.run is not None
    client = signed_in("viewer")

    page = text_of(client, at(asked.run, "?tab=approvals"))

    assert f'href="/approvals/{asked.public_id}"' in page
    assert f'href="/approvals/{asked.public_id}"' in text_of(client, at(asked.run))  # the head offers it, too


def test_the_text_of_a_call_in_progress_is_there_before_the_socket_is(embedded_servers: None) -> None:
    import redis
    from django.conf import settings

    run = review()
    call = make_call(run, "judge", status="started", cost=None, ended_at=None, request={"messages": []})
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as client:
        client.set(f"text:{call.id.hex}", "Once upon a <b>time</b>", ex=60)

    page = text_of(signed_in("operator"), at(run))

    assert f'data-stream="call_{call.id.hex}"' in page
    assert "Once upon a &lt;b&gt;time" in page


@pytest.mark.django_db(transaction=True)
def test_RD_8_cancelling_works_without_script_and_says_who_did_it() -> None:
    request = make_request()
    assert request.run is not None
    client = signed_in("operator", username="olga")

    asked = text_of(client, at(request.run, "/cancellation"))
    request.run.refresh_from_db()
    untouched = request.run.status
    answer = client.post(at(request.run, "/cancellation"), follow=True)

    assert f'action="{at(request.run, "/cancellation")}"' in asked
    assert untouched == "waiting_approval"  # looking never acts
    assert answer.redirect_chain == [(at(request.run), 302)]
    page = answer.content.decode()
    assert "by olga" in page
    assert f"Run #{request.run.number} is cancelled." in page
    assert Request.objects.get(id=request.id).state == "withdrawn"


def test_cancelling_needs_its_right_and_is_not_offered_without_it() -> None:
    run = make_run(status="waiting")
    client = signed_in("viewer")

    assert 'data-testid="cancel"' not in text_of(client, at(run))
    answer = client.post(at(run, "/cancellation"))

    assert answer.status_code == 403
    assert "runs.control" in answer.content.decode()
    assert Run.objects.get(id=run.id).status == "waiting"


def test_cancelling_a_run_that_has_ended_says_so() -> None:
    run = make_run(status="succeeded")

    answer = signed_in("operator").post(at(run, "/cancellation"))

    assert answer.status_code == 409
    assert "The run has ended: succeeded." in answer.content.decode()


@pytest.mark.parametrize("query", ["", "?tab=cost", "?tab=events", "?step=rate"])
def test_the_number_of_queries_does_not_grow_with_the_run(query: str) -> None:
    client = signed_in("operator")
    run = review(events=2)
    make_attempt(run, "rate", status="open", kind="map")
    text_of(client, at(run, query))

    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            text_of(client, at(run, query))
        return len(caught)

    few = queries()
    for item in range(40):
        make_attempt(run, f"rate[{item}].assess")
        make_call(run, f"rate[{item}].assess", cost="0.1")
    add_events(run, 100)

    assert queries() == few
    assert (
        few <= 19
    )  # the kill switch and what is handed to this person for every page, the slots a running run waits for, the runs that repeat it


def test_the_view_of_a_call_says_why_it_went_where_it_went() -> None:
    run = review("succeeded")
    candidates = [
        {"model": "small-1", "verdict": "failed", "why": f"rate_limit: slow down {XSS}"},
        {"model": "large-1", "verdict": "taken", "why": "candidate 2 of balanced, after the one before it failed"},
        {"model": "spare-1", "verdict": "waiting", "why": ""},
    ]
    add_events(run, 2)
    event = Event.objects.filter(run=run).order_by("seq").last()
    assert event is not None
    Event.objects.filter(run=run, seq=event.seq).update(
        data=json.dumps({"routing": {"route": "balanced", "version": 7, "strategy": "ordered", "candidates": candidates}})
    )
    make_attempt(run, "judge")
    make_call(run, "judge", target="large-1", seq=event.seq, route="balanced", route_version=7)

    page = text_of(signed_in("operator"), at(run, "?step=judge"))

    assert "Route balanced v7, ordered." in page
    assert re.findall(r'data-testid="candidate" data-verdict="(\w+)"', page) == ["failed", "taken", "waiting"]
    assert "rate_limit: slow down &lt;img" in page
    assert XSS not in page
