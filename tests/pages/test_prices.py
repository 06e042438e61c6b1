"""The price book's pages."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from flows.models import Adjustment, ModelEntry, Price
from tests.makers import make_person, make_run
from tests.pages.summaries import fields_led_to
from tests.runs.journals import make_call, make_price

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> Client:
    client = Client()
    client.force_login(make_person("owner"))
    return client


def seen(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content.decode()[:1500]
    return answer.content.decode()


def test_PRC_1_as_of_a_day_shows_that_days_rows(owner: Client) -> None:
    now = timezone.now()
    make_price(at=now - timedelta(days=40), input="2.5", output="10")
    make_price(at=now - timedelta(days=2), input="3.125", output="10")

    page = seen(owner, f"/prices?on={now - timedelta(days=10):%Y-%m-%d}")
    assert ("$2.50" in page, "$3.125" in page) == (True, False)
    page = seen(owner, "/prices")
    assert ("$2.50" in page, "$3.125" in page) == (False, True)
    assert seen(owner, "/prices?tab=changes").count('data-testid="price-row"') == 2
    assert owner.get("/prices?on=nonsense").status_code == 200


def test_PRC_2_the_form_shows_both_rows_and_keeps_what_was_typed(owner: Client) -> None:
    make_price(at=timezone.now() - timedelta(days=40), input="2.5", output="10")
    given = {"model": "small-1", "input": "7", "output": "8", "since": "2026-01-01T00:00"}
    given["since"] = f"{timezone.now() - timedelta(days=3):%Y-%m-%dT%H:%M}"

    answer = owner.post("/prices/new", given)

    assert answer.status_code == 422
    page = answer.content.decode()
    assert "input $7" in page
    assert "input $2.5" in page
    assert 'value="7"' in page
    refused = owner.post("/prices/new", given | {"input": "much", "since": "x"})
    assert refused.status_code == 422
    assert fields_led_to(refused.content.decode()) == ["input", "since"]
    assert Price.objects.count() == 1
    assert owner.post("/prices/new", given | {"since": ""}).status_code == 302
    assert Price.objects.count() == 2


def test_PRC_3_a_file_is_shown_before_it_is_imported(owner: Client) -> None:
    ModelEntry.objects.create(slug="small-1", model="openai/small-1")
    text = "model,input,output\nsmall-1,1,2\n"

    page = owner.post("/prices/import", {"text": text}).content.decode()
    assert 'data-testid="group-new"' in page
    assert not Price.objects.exists()
    assert owner.post("/prices/import", {"text": text, "act": "import"}).status_code == 302
    assert Price.objects.count() == 1
    assert b"line 2" in owner.post("/prices/import", {"text": "model,input,output\nx,1,2\n"}).content
    assert "small-1,1,,,2," in owner.get("/prices/export.csv").content.decode()


def test_PRC_4_what_has_no_price_leads_to_its_calls_and_to_a_price(owner: Client) -> None:
    make_call(make_run(), "a", cost=None)

    page = seen(owner, "/prices?tab=unpriced")
    assert 'href="/costs?unpriced=yes&amp;by=call&amp;model=small-1"' in page
    assert 'href="/prices/new?model=small-1"' in page


def test_a_rerating_is_shown_before_it_is_written_and_stands_beside_the_costs(owner: Client) -> None:
    make_call(make_run(), "a", cost=None, input_tokens=1_000_000, output_tokens=0)
    make_price(at=timezone.now() - timedelta(days=1), input="2", output="2")

    page = seen(owner, "/prices/rerating?model=small-1")
    assert 'data-testid="fresh">1<' in page
    assert not Adjustment.objects.exists()
    given = {"model": "small-1", "from": "2020-01-01", "to": f"{timezone.localdate():%Y-%m-%d}"}
    assert owner.post("/prices/rerating", given).status_code == 422
    assert owner.post("/prices/rerating", given | {"reason": "late sheet"}).status_code == 302
    assert Adjustment.objects.get().amount == Decimal(2)
    assert 'data-testid="adjusted"' in seen(owner, "/costs")


def test_the_api_reads_adds_and_imports(owner: Client) -> None:
    ModelEntry.objects.create(slug="small-1", model="openai/small-1")
    body = {"model": "small-1", "input": "2.5", "output": "10", "valid_from": "2026-01-01T00:00:00"}

    assert owner.post("/api/v1/prices", body, content_type="application/json").status_code == 201
    assert owner.post("/api/v1/prices", body, content_type="application/json").status_code == 422
    [row] = owner.get("/api/v1/prices").json()["items"]
    assert (row["model"], row["input"], row["valid_to"]) == ("small-1", "2.5", None)
    told = owner.post(
        "/api/v1/prices/import", {"csv": "model,input,output\nsmall-1,3,4\n"}, content_type="application/json"
    ).json()
    assert (told["changed"], told["imported"]) == ([2], False)
    period = {"model": "small-1", "from": "2026-01-01T00:00:00", "to": "2026-02-01T00:00:00", "reason": "x"}
    assert owner.post("/api/v1/prices/reratings", period, content_type="application/json").json()["left"] == 0
