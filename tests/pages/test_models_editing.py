"""The forms of models and routes: what was typed is kept, buttons without script, checks and trials that save nothing."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from flows.models import ModelEntry, Price, Route, Run
from tests.makers import make_person
from tests.pages.summaries import fields_led_to

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Client:
    client = Client()
    client.force_login(make_person("owner"))
    return client


MODEL = {
    "name": "small",
    "model": "sim/small",
    "context": "32,000",
    "max_output": "500",
    "capabilities": ["tools"],
    "revision": "0",
}


def saved(client: Client, address: str, body: dict[str, Any], status: int = 302) -> str:
    answer = client.post(address, {"act": "save", **body})
    assert answer.status_code == status, answer.content.decode()[:3000]
    return answer.content.decode()


def make_small(client: Client) -> None:
    saved(client, "/models/new", MODEL)


def test_a_model_is_made_and_changed_on_its_page(owner: Client) -> None:
    make_small(owner)

    entry = ModelEntry.objects.get()
    assert (entry.slug, entry.context, entry.capabilities, entry.revision) == ("small", 32000, ["tools"], 1)
    page = owner.get("/models/small").content.decode()
    assert 'value="sim/small"' in page
    assert re.search(r'value="embeddings"(?! checked)', page)
    changed = {"model": "sim/other", "revision": "1", "in_flight": "8", "within": "2m", "capabilities": ["tools", "embeddings"]}
    saved(owner, "/models/small", {**MODEL, **changed})
    entry.refresh_from_db()
    assert entry.capabilities == ["embeddings", "tools"]
    assert 'value="embeddings" checked' in owner.get("/models/small").content.decode()
    assert (entry.model, entry.limits, entry.breaker) == ("sim/other", {"in_flight": 8}, {"within": 120.0})


def test_a_refused_model_keeps_what_was_typed(owner: Client) -> None:
    page = saved(owner, "/models/new", {**MODEL, "model": "small", "context": "many", "settings": "{"}, status=422)

    assert "`many` is no whole number" in page
    assert "is no JSON" in page
    assert set(fields_led_to(page)) == {"settings", "context"}
    assert 'value="many"' in page
    page = saved(owner, "/models/new", {**MODEL, "model": "small"}, status=422)
    assert "names no provider" in page
    assert not ModelEntry.objects.exists()


def test_checking_a_key_saves_nothing(owner: Client) -> None:
    answer = owner.post("/models/new", {**MODEL, "act": "check", "model": "openai/x", "api_key_env": "NO_SUCH_KEY"})

    page = answer.content.decode()
    assert 'data-verdict="refused"' in page
    assert "The environment variable NO_SUCH_KEY is not set." in page
    assert not ModelEntry.objects.exists()
    page = saved(owner, "/models/new", {**MODEL, "model": "openai/x", "api_key_env": "NO_SUCH_KEY"}, status=422)
    assert "nothing was saved" in page


def test_a_stale_form_is_refused_and_a_model_in_use_stays(owner: Client) -> None:
    make_small(owner)
    saved(owner, "/routes/new", {"name": "main", "candidate-model": ["small"], "strategy": "ordered", "revision": "0"})

    assert "Somebody else changed it" in saved(owner, "/models/small", {**MODEL, "revision": "7"}, status=409)
    answer = owner.post("/models/small", {"act": "remove", "revision": "1"})
    assert answer.status_code == 422
    assert "route main" in answer.content.decode()


def test_candidates_are_added_moved_and_taken_out_by_plain_buttons(owner: Client) -> None:
    make_small(owner)
    saved(owner, "/models/new", {**MODEL, "name": "large"})
    typed = {
        "name": "main",
        "strategy": "weighted",
        "candidate-model": ["small", "large"],
        "candidate-weight": ["1", "3"],
        "revision": "0",
    }

    def rows(act: str) -> list[str]:
        answer = owner.post("/routes/new", {**typed, "act": act})
        assert answer.status_code == 200
        return [row["model"] for row in answer.context["values"]["rows"]]

    assert rows("add") == ["small", "large", ""]
    assert rows("down-0") == ["large", "small"]
    assert rows("up-1") == ["large", "small"]
    assert rows("drop-0") == ["large"]
    assert not Route.objects.exists()
    saved(owner, "/routes/new", {**typed, "timeout": "20s", "fall_back_on": ["timeout"]})
    route = Route.objects.get()
    assert (route.candidates, route.timeout, route.fall_back_on) == (
        ["small", {"model": "large", "weight": 3.0}],
        20.0,
        ["timeout"],
    )
    assert 'value="20s"' in owner.get("/routes/main/edit").content.decode()


def test_a_route_without_candidates_is_refused_and_nothing_is_lost(owner: Client) -> None:
    page = saved(owner, "/routes/new", {"name": "main", "candidate-model": [""], "timeout": "5s", "revision": "0"}, status=422)

    assert "A route needs at least one model to ask." in page
    assert fields_led_to(page) == ["candidates"]
    assert 'value="main"' in page
    assert 'value="5s"' in page


def test_a_dry_run_on_the_page_changes_nothing(owner: Client) -> None:
    make_small(owner)
    saved(owner, "/routes/new", {"name": "main", "candidate-model": ["small"], "revision": "0"})

    answer = owner.post("/routes/main/edit", {"act": "dry-run", "candidate-model": ["small"], "revision": "1"})

    assert "there is nothing to compare" in answer.content.decode()
    assert Route.objects.get().version == 1


def test_a_prompt_is_tried_as_a_run_of_its_own(owner: Client) -> None:
    make_small(owner)
    saved(owner, "/routes/new", {"name": "main", "candidate-model": ["small"], "revision": "0"})

    answer = owner.post("/routes/main/trials", {"prompt": "Say it", "max_output": "50", "models": "simulated"})

    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.public_id}"
    assert (run.purpose, run.input, run.handling) == ("test", '{"prompt":"Say it"}', {"simulate": True})
    assert owner.get(answer["Location"]).status_code == 200
    refused = owner.post("/routes/main/trials", {"prompt": " ", "max_output": "77"})
    assert refused.status_code == 422
    assert 'value="77"' in refused.content.decode()


def test_what_a_prompt_may_cost_is_said_before_and_held(owner: Client) -> None:
    make_small(owner)
    saved(owner, "/models/new", {**MODEL, "name": "large"})
    for slug, price in (("small", 1), ("large", 10)):
        Price.objects.filter(model_id=slug).delete()
        Price.objects.create(model_id=slug, input=price, output=price)
    saved(owner, "/routes/new", {"name": "main", "candidate-model": ["small", "large"], "revision": "0"})
    typed = {"prompt": "Say it again.", "max_output": "1000", "ceiling": "0.000001", "models": "real"}

    told = owner.post("/routes/main/trials", {**typed, "act": "cost"}).content.decode()
    assert "which would be asked first, and" in told
    assert "Nothing was asked." in told
    refused = owner.post("/routes/main/trials", typed)
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "small can cost $0.00" in page
    assert "more than $0.000001" in page
    assert ">Say it again.</textarea>" in page
    assert "is no amount of money" in owner.post("/routes/main/trials", {**typed, "ceiling": "much"}).content.decode()
    assert not Run.objects.exists()
    assert owner.post("/routes/main/trials", {**typed, "ceiling": "0.25"}).status_code == 302
    run = Run.objects.get()
    assert (run.purpose, run.cap_cost) == ("test", Decimal("0.25"))


def test_a_ceiling_cannot_be_held_where_the_price_is_not_known(owner: Client) -> None:
    make_small(owner)
    Price.objects.all().delete()
    saved(owner, "/routes/new", {"name": "main", "candidate-model": ["small"], "revision": "0"})

    page = owner.post("/routes/main/trials", {"prompt": "x", "ceiling": "1"}).content.decode()

    assert "the price of small is not known" in page
    assert "has no price" in owner.post("/routes/main/trials", {"prompt": "x", "act": "cost"}).content.decode()
    assert not Run.objects.exists()
