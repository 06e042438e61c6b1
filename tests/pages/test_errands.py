"""Long work begun on a page: it goes on without it, says how far it is, is done once, and is found again."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from flows.access.actor import Actor
from flows.execution import errands
from flows.execution.errands import carry, tend_errands
from flows.models import Errand, ErrandPiece, KnowledgeDocument, Person, Run
from flows.retrieval.actions.reindex_base import reindex_base
from flows.retrieval.indexing import index_document
from flows.runs.errands import carrying
from flows.runs.pages import listing, many
from tests.makers import make_base, make_flow, make_person, make_run
from tests.pages.test_runs_bulk import DOCUMENT, failed, sent, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> Person:
    return make_person("operator", "builder", username="olga")


@pytest.fixture
def client(olga: Person) -> Client:
    client = Client()
    client.force_login(olga)
    return client


@pytest.fixture(autouse=True)
def _of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is many here."""
    monkeypatch.setattr(many, "AT_ONCE", 2)
    monkeypatch.setattr(many, "SENT_AT_ONCE", 2)
    monkeypatch.setattr(listing, "SENT_AT_ONCE", 2)


def asked_for(client: Client, act: str, *runs: Run, **more: Any) -> Errand:
    answer = sent(client, act, *runs, confirmed="1", **more)
    errand = Errand.objects.order_by("-begun_at")[0]
    assert answer["Location"] == f"/errands/{errand.public_id}"
    return errand


def said(client: Client, errand: Errand) -> tuple[str, str]:
    """What the page of an errand says of how far it is, and what the header of any page says."""
    page = text_of(client.get(f"/errands/{errand.public_id}"))
    done = re.search(r'data-testid="errand-done">([\d,]+)</b> of <b class="figure">([\d,]+)', page)
    header = re.search(r'data-testid="errand-underway".*?<span class="figure">([^<]*)<', text_of(client.get("/knowledge")))
    assert done is not None
    return f"{done[1]} of {done[2]}", header[1] if header is not None else ""


def test_many_runs_are_retried_by_a_worker_and_the_page_says_how_many_of_them(client: Client) -> None:
    flow = make_flow(document=DOCUMENT)
    runs = [failed(flow) for _ in range(4)]
    errand = asked_for(client, "retry", *runs)
    Run.objects.filter(id=runs[3].id).update(status="running", ended_at=None)

    before = said(client, errand), Run.objects.filter(pass_number=2).count()
    carry(errand.id)
    page = text_of(client.get(f"/errands/{errand.public_id}"))

    assert before == (("0 of 4", "0 of 4"), 0)
    assert said(client, errand) == ("4 of 4", "4 done")
    assert set(Run.objects.filter(pass_number=2)) == set(runs[:3])
    assert 'data-testid="errand-refused">1</b>' in page
    assert f'href="/runs/{runs[3].public_id}"' in page  # what was left as it is, and why
    assert errand.title in text_of(client.get("/errands"))


def test_who_takes_an_errand_over_does_what_is_left_of_it_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [make_run(make_flow(), status="succeeded", input='{"name": "Ann"}') for _ in range(4)]
    errand = asked_for(client, "repeat", *runs)
    act, seen = carrying.control_one, []

    def dies_at_the_third(actor: Any, verb: str, run: Run, *, key: str) -> Any:
        seen.append(run.id)
        if len(seen) == 3:
            raise KeyboardInterrupt  # what no edge catches
        return act(actor, verb, run, key=key)

    monkeypatch.setattr(carrying, "control_one", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        carry(errand.id)
    halfway = said(client, errand)
    carry(errand.id)
    carry(errand.id)

    assert halfway == ("2 of 4", "2 of 4")
    assert said(client, errand)[0] == "4 of 4"
    assert sorted(Run.objects.filter(origin__isnull=False).values_list("origin_id", flat=True)) == sorted(run.id for run in runs)


def test_the_second_of_two_workers_leaves_it(client: Client) -> None:
    errand = asked_for(client, "cancel", *[make_run(status="waiting") for _ in range(3)], count="3")
    stale = Errand.objects.get(id=errand.id)

    errands.advance(errand)

    with pytest.raises(errands.CarriedByOthers):
        errands.advance(stale)


def test_the_same_form_sent_twice_is_one_errand(client: Client) -> None:
    runs = [failed() for _ in range(3)]

    first, second = (asked_for(client, "retry", *runs, key="k") for _ in range(2))

    assert first == second


def test_it_rings_again_for_what_nobody_carries(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    errand = asked_for(client, "tag", *[make_run() for _ in range(3)], tag="ops")
    rung: list[Any] = []
    monkeypatch.setattr(errands, "ring", rung.append)

    tend_errands()
    Errand.objects.update(moved_at="2026-01-01T00:00:00Z")
    tend_errands()
    carry(errand.id)
    tend_errands()

    assert rung == [errand.id]
    assert [run.tags for run in Run.objects.all()] == [["ops"]] * 3


def test_one_without_an_account_has_nothing_done(client: Client, olga: Person) -> None:
    errand = asked_for(client, "retry", *[failed() for _ in range(3)])
    Person.objects.filter(id=olga.id).update(is_active=False)

    carry(errand.id)

    errand.refresh_from_db()
    assert (errand.done, errand.error) == (0, "Whoever asked for it has no account any more.")


def test_a_long_list_is_written_by_a_worker_and_kept_for_a_day(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "ROWS", 2)
    runs = [make_run(status="succeeded", tags=["ops"]) for _ in range(5)]
    make_run(status="failed")
    page = text_of(client.get("/runs?state=succeeded"))
    assert 'action="/runs/exports"' in page
    answer = client.post("/runs/exports", {"form": "csv", "query": "state=succeeded"})
    errand = Errand.objects.get()

    assert client.get(f"/errands/{errand.public_id}/file").status_code == 404
    carry(errand.id)
    rows = list(csv.DictReader(io.StringIO(_content(client.get(f"/errands/{errand.public_id}/file")))))

    assert answer["Location"] == f"/errands/{errand.public_id}"
    assert [row["run"] for row in rows] == [run.public_id for run in reversed(runs)]
    assert said(client, errand)[0] == "5 of 5"
    Errand.objects.update(ended_at="2026-01-01T00:00:00Z")
    tend_errands()
    assert not ErrandPiece.objects.exists()


def test_a_short_list_is_sent_at_once(client: Client) -> None:
    make_run()

    assert client.post("/runs/exports", {"form": "json", "query": "tag=a"})["Location"] == "/runs/export.json?tag=a"
    assert not Errand.objects.exists()


def test_all_that_match_are_more_than_the_page_shows(client: Client) -> None:
    for _ in range(51):
        make_run(status="waiting")

    asked = text_of(client.post("/runs/bulk", {"act": "cancel", "matching": "state=waiting", "back": ""}))

    assert 'data-testid="all-matching"' in text_of(client.get("/runs?state=waiting"))
    assert "Cancel 51 runs?" in asked


def test_indexing_a_base_again_counts_its_documents(client: Client, olga: Person) -> None:
    base, document, _ = make_base("shop")
    KnowledgeDocument.objects.create(base=base, source="b.txt", media_type="text/plain", text="b", digest="b")
    with_two = reindex_base(Actor(person=olga), base)
    errand = Errand.objects.get()

    before = said(client, errand)
    index_document(document.id)
    between = said(client, errand)
    for each in KnowledgeDocument.objects.filter(state="waiting"):
        index_document(each.id)

    assert with_two == 2
    assert (before, between) == (("0 of 2", "0 of 2"), ("1 of 2", "1 of 2"))
    assert said(client, errand) == ("2 of 2", "2 done")


def test_nobody_else_sees_it(client: Client) -> None:
    errand = asked_for(client, "retry", *[failed() for _ in range(3)])
    other = Client()
    other.force_login(make_person("owner"))

    assert other.get(f"/errands/{errand.public_id}").status_code == 404
    assert errand.title not in text_of(other.get("/errands"))


def _content(answer: Any) -> str:
    async def whole() -> bytes:
        return b"".join([each async for each in answer])

    assert answer.status_code == 200
    return async_to_sync(whole)().decode()
