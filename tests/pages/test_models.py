"""The pages of models and routes: how each does in words, why, and who uses it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from flows.access.actor import system
from flows.models import ModelEntry, Route
from flows.routing.breaker import Standing
from flows.routing.health import key_of
from flows.runs.catalogue.reads import asked_in
from orchestrator.actions.apply_catalogue import apply_catalogue
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import parse_catalogue
from tests.makers import make_flow, make_person, make_run, make_team
from tests.runs.journals import DOCUMENT, make_call

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> None:
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as store:
        store.delete(*(key_of(slug) for slug in ("small-1", "large-1", "keyed")))


@pytest.fixture
def viewer() -> Client:
    client = Client()
    client.force_login(make_person("viewer"))
    return client


def seen(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, answer.content.decode()[:1500]
    return answer.content.decode()


def row(page: str, slug: str) -> str:
    found = re.search(rf'<tr data-testid="(?:model|route)-row" data-id="{slug}">.*?</tr>', page, re.DOTALL)
    assert found is not None, page[:3000]
    return found[0]


def status(page: str, slug: str) -> tuple[str, str]:
    """The status as its word in the data and as what people read."""
    found = re.search(r'data-status="([\w ]+)">(.*?)</td>', row(page, slug), re.DOTALL)
    assert found is not None
    return found[1], re.sub(r"<[^>]+>", " ", found[2])


def model(slug: str = "small-1", **fields: object) -> ModelEntry:
    return ModelEntry.objects.create(slug=slug, **({"model": f"openai/{slug}", "capabilities": ["tools"]} | fields))


def stands(slug: str, standing: Standing) -> None:
    with redis.Redis.from_url(settings.REDIS_ADDRESS) as store:
        store.set(key_of(slug), standing.dumped())


def test_MDL_1_a_model_without_its_key_says_so_and_how_to_mend_it(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALL_KEY", raising=False)
    model("keyed", api_key_env="SMALL_KEY")

    word, said = status(seen(viewer, "/models"), "keyed")

    assert word == "no key"
    assert "No key – add or simulate" in said
    assert "Set SMALL_KEY where the workers start" in said
    monkeypatch.setenv("SMALL_KEY", "secret-value")
    page = seen(viewer, "/models")
    assert status(page, "keyed")[0] == "healthy"
    assert "secret-value" not in page


def test_MDL_2_a_model_that_fails_is_degraded_and_one_that_rests_is_down(viewer: Client) -> None:
    model()
    model("large-1", model="sim/large", simulated=True)
    assert status(seen(viewer, "/models"), "small-1")[0] == "healthy"
    assert status(seen(viewer, "/models"), "large-1")[0] == "simulated"
    now = int(timezone.now().timestamp() * 1000)
    stands("small-1", Standing(failures=2, failed_at=now, why="timeout"))
    stands("large-1", Standing(failures=5, failed_at=now, until=now + 30_000, why="unavailable"))

    page = seen(viewer, "/models")

    assert status(page, "small-1") == ("degraded", status(page, "small-1")[1])
    assert "failed 2 times in a row, the last timeout" in status(page, "small-1")[1]
    assert status(page, "large-1")[0] == "down"
    assert "5 failures in a row, the last unavailable; tried again in" in status(page, "large-1")[1]


def test_figures_are_those_of_the_newest_calls_within_a_week(viewer: Client) -> None:
    model()
    run = make_run(status="succeeded")
    ended = timezone.now()
    for n in range(9):
        call = make_call(run, f"s{n}", status="failed_final" if n == 0 else "succeeded", ended_at=ended)
        type(call).objects.filter(id=call.id).update(started_at=ended - timedelta(seconds=2), first_text=0.3)
    old = make_call(run, "old", status="failed_final", ended_at=ended)
    type(old).objects.filter(id=old.id).update(started_at=ended - timedelta(days=8))
    make_call(run, "again", cached=True, ended_at=ended)

    found = row(seen(viewer, "/models"), "small-1")

    assert "11 %" in found, "one of nine; neither the old one nor what was answered from the ledger counts"
    assert re.search(r'data-label="First token">(0\.3 s|300 ms)<', found)
    assert found.count("2.0 s") + found.count("2 s") >= 1
    assert status(seen(viewer, "/models"), "small-1")[0] == "degraded"


def test_MDL_4_a_candidate_that_lacks_what_the_route_needs_cannot_be_saved() -> None:
    model()
    text = "routes: {careful: {candidates: [small-1], needs: [json]}}"
    document = parse_catalogue(text, {kind.slug: kind for kind in tool_kinds()})

    with pytest.raises(Exception, match="`small-1` lacks json, which the route needs"):
        apply_catalogue(system("tests"), document)

    assert not Route.objects.exists()


def test_MDL_5_used_by_lists_flows_and_versions_that_one_may_see(viewer: Client) -> None:
    model()
    Route.objects.create(slug="small", candidates=["small-1"])
    make_flow("review", document=DOCUMENT)
    make_flow("hidden", document=DOCUMENT, team=make_team("legal"))
    client = Client()
    client.force_login(make_person("viewer", team=make_team("finance")))

    page = seen(client, "/models")

    for slug in ("small-1", "small"):
        used = row(page, slug).partition('data-testid="used-by"')[2]
        assert re.search(r">review</a> v1", used)
        assert "hidden" not in used
    assert "review</a> v1" in seen(client, "/routes/small")


def test_MDL_6_the_status_is_said_in_words_and_by_a_glyph(viewer: Client) -> None:
    model()

    word, said = status(seen(viewer, "/models"), "small-1")

    assert "Healthy" in said
    assert "<svg" in row(seen(viewer, "/models"), "small-1")
    assert word == "healthy"


def test_a_route_shows_its_candidates_in_order_with_conditions_and_shares(viewer: Client) -> None:
    model()
    model("large-1")
    Route.objects.create(
        slug="pair",
        candidates=[{"model": "small-1", "when": {"max_input": 8000, "tag": "gold"}}, "large-1"],
        fall_back_on=["rate_limit", "timeout"],
        timeout=20.0,
        version=7,
    )
    run = make_run(status="succeeded")
    for n in range(3):
        make_call(run, f"s{n}", route="pair")
    make_call(run, "s3", target="large-1", route="pair")
    make_call(run, "s4", target="large-1", route="other")

    page = seen(viewer, "/routes/pair")

    assert re.findall(r'data-testid="candidate" data-id="([\w-]+)"', page) == ["small-1", "large-1"]
    assert "runs with the tag gold; up to 8,000 tokens of input" in page
    assert "The next one is asked if: rate limit, more than 20 s." in page
    assert ("75 %" in page, "25 %" in page) == (True, True)
    seen(viewer, "/routes/none", 404)


def test_shares_say_why_each_candidate_was_asked_and_what_failed(viewer: Client) -> None:
    model()
    model("large-1")
    Route.objects.create(slug="pair", candidates=["small-1", "large-1"], version=1)
    run = make_run(status="succeeded")
    for n in range(2):
        make_call(run, f"s{n}", route="pair", reason="first candidate of pair; skipped: x (it lacks json)")
    make_call(run, "s2", route="pair", reason="first candidate of pair", status="failed_retryable", error_class="rate_limit")
    make_call(run, "s3", target="large-1", route="pair", reason="candidate 2 of pair, after the one before it failed")

    page = seen(viewer, "/routes/pair")

    assert "first candidate of pair: 3" in page
    assert "failed by rate_limit: 1" in page
    assert "candidate 2 of pair, after the one before it failed: 1" in page


def test_the_last_24_hours_are_drawn_and_said_in_words(viewer: Client) -> None:
    model()
    model("large-1")
    run = make_run(status="succeeded")
    for n, (ago, status_) in enumerate(((0, "succeeded"), (3, "failed_final"), (3, "succeeded"), (30, "failed_final"))):
        call = make_call(run, f"s{n}", status=status_)
        type(call).objects.filter(id=call.id).update(started_at=timezone.now() - timedelta(hours=ago, minutes=1))

    page = seen(viewer, "/models")

    assert "24 hours: 3 calls, 1 failed, in 1 of the hours" in row(page, "small-1")
    assert re.findall(r'<rect class="(\w+)" x="(\d+)"', row(page, "small-1"))[-4:] == [
        ("failed", "140"),
        ("skipped", "147"),
        ("skipped", "154"),
        ("succeeded", "161"),
    ]
    assert "no calls" in row(page, "large-1")


def test_the_navigation_marks_models_on_the_page_of_a_route(viewer: Client) -> None:
    model()
    Route.objects.create(slug="small", candidates=["small-1"])

    assert re.search(r'href="/models"[^>]*aria-current="page"', seen(viewer, "/routes/small"))
    assert not re.search(r'href="/models"[^>]*aria-current="page"', seen(viewer, "/tools"))


def test_the_number_of_queries_does_not_grow_with_models_routes_and_flows(viewer: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            seen(viewer, "/models")
        return len(captured)

    model("m0")
    make_flow(document=DOCUMENT)
    seen(viewer, "/models")
    first = queries()
    for n in range(1, 8):
        model(f"m{n}")
        Route.objects.create(slug=f"r{n}", candidates=[f"m{n}"])
        make_flow(document=DOCUMENT)
    seen(viewer, "/models")

    assert queries() == first


def test_models_are_narrowed_down_and_none_is_said_plainly(viewer: Client) -> None:
    assert "No models yet" in seen(viewer, "/models")
    model()
    model("large-1", model="anthropic/large", capabilities=[])

    assert re.findall(r'data-testid="model-row" data-id="([\w-]+)"', seen(viewer, "/models?provider=anthropic")) == ["large-1"]
    assert re.findall(r'data-testid="model-row" data-id="([\w-]+)"', seen(viewer, "/models?capability=tools")) == ["small-1"]
    assert "No model matches" in seen(viewer, "/models?provider=nobody")


def test_routes_are_found_in_bodies_judges_and_the_error_handler() -> None:
    step = {"kind": "model", "with": {"route": "inner"}}
    document = {
        "steps": {
            "a": {"kind": "map", "with": {"body": {"steps": {"b": step}}}},
            "c": {"kind": "check", "with": {"rules": [{"type": "judge", "route": "judges"}, {"type": "length"}]}},
        },
        "on_error": {"steps": {"d": {"kind": "model", "with": {"route": "last"}}}},
    }

    assert list(asked_in(document)) == ["inner", "judges", "last"]
