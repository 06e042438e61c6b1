"""Knowledge bases whose vectors a model of the catalogue makes: a service of OpenAI's protocol on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client

from flows.access.refusals import Forbidden, Invalid
from flows.costs.reports import PURPOSES
from flows.models import AllowedHost, AuditRow, Call, KnowledgeBase, Passage, Run
from flows.retrieval.actions.change_base import change_base
from flows.retrieval.actions.delete_document import delete_document
from flows.retrieval.actions.reindex_base import reindex_base
from flows.retrieval.indexing import index_document
from flows.runs import embedding
from flows.runs.actions.try_search import try_search
from flows.runs.embedding import embed_waiting
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, error_of, finish, make_model, output_of, start
from tests.makers import make_actor, make_person
from tests.retrieval.house import make_shop
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

OUTPUT = {"found": "{{ steps.look.output }}"}
LOOK = {"look": {"kind": "retrieve", "with": {"base": "shop", "query": "{{ input.question }}", "top": 3}}}


@pytest.fixture
def service(transactional_db: None) -> Iterator[ModelServer]:
    """The model `vectors`, at two dollars a million tokens."""
    with running(ModelServer()) as server:
        AllowedHost.objects.create(host=server.host)
        make_model(
            "vectors", model="openai/vectors-1", api_base=f"{server.base}/v1", capabilities=["embeddings"], price=("2", "0")
        )
        yield server


def chosen(name: str = "vectors") -> KnowledgeBase:
    return change_base(make_actor("builder"), make_shop(), name)


def indexed() -> Run:
    (run,) = embed_waiting()
    return finish(run)


def asked(server: ModelServer) -> list[Any]:
    return [line["body"]["input"] for line in server.asked if line["path"] == "/v1/embeddings"]


def test_a_model_makes_the_vectors_and_what_they_cost_is_in_the_ledger(drive: Drive, service: ModelServer) -> None:
    drive()
    base = chosen()
    passages = Passage.objects.filter(base=base).count()

    run = indexed()

    assert output_of(run) == {"passages": passages}
    assert set(Passage.objects.values_list("embedded_by", flat=True)) == {"vectors"}
    (call,) = calls_of(run)
    assert (call.kind, call.target, call.simulated, call.usage_source) == ("model", "vectors", False, "provider")
    assert call.input_tokens == sum(len(text.split()) for text in asked(service)[0])
    assert call.settled == Decimal(2) * call.input_tokens / 1_000_000
    assert json.loads(call.response or "")["output"] == {"vectors": passages, "dimensions": 8}
    assert run.spent == call.settled
    production = Call.objects.filter(PURPOSES["production"], run=run).aggregate(sum=Sum("settled"))["sum"]
    assert production == call.settled
    assert embed_waiting() == [], "nothing is left to do"


def test_a_question_is_embedded_by_the_same_model_and_charged_to_its_run(drive: Drive, service: ModelServer) -> None:
    drive()
    chosen()
    indexed()

    run = finish(start(LOOK, ["start -> look"], {"question": "How long may goods be sent back?"}, output=OUTPUT))

    embedded, searched = calls_of(run, "look")
    assert (embedded.target, embedded.settled) == ("vectors", Decimal(2) * (embedded.input_tokens or 0) / 1_000_000)
    assert (searched.kind, searched.status) == ("retrieve", "succeeded")
    assert asked(service)[-1] == ["How long may goods be sent back?"]
    assert output_of(run)["found"][0]["source"] == "refunds.md"
    assert run.spent == embedded.settled


def test_what_is_brought_later_gets_its_vector_and_what_is_deleted_never_returns(drive: Drive, service: ModelServer) -> None:
    drive()
    base = chosen()
    indexed()
    delete_document(make_actor("builder"), base, base.documents.get(source="garden.txt"))
    reindex_base(make_actor("builder"), base)
    for document in base.documents.all():
        index_document(document.id)

    assert Passage.objects.filter(embedded_by="vectors").count() == 0
    indexed()

    run = finish(start(LOOK, ["start -> look"], {"question": "tomatoes want sun"}, output=OUTPUT))
    assert "garden.txt" not in {hit["source"] for hit in output_of(run)["found"]}
    assert Passage.objects.exclude(embedded_by="vectors").count() == 0


def test_back_to_the_vectors_that_come_with_the_product(drive: Drive, service: ModelServer) -> None:
    drive()
    base = chosen()
    indexed()

    change_base(make_actor("builder"), base, "")
    for document in base.documents.all():
        index_document(document.id)
    before = len(asked(service))
    run = finish(start(LOOK, ["start -> look"], {"question": "sending goods back"}, output=OUTPUT))

    assert output_of(run)["found"][0]["source"] == "refunds.md"
    assert len(asked(service)) == before
    assert [row.data["embedding"] for row in AuditRow.objects.filter(action="base.change").order_by("at")] == ["vectors", ""]


@pytest.mark.parametrize("behave", ["429", "bad_vectors"])
def test_a_service_that_fails_is_told_and_asked_again_later(
    drive: Drive, service: ModelServer, behave: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive()
    monkeypatch.setattr(embedding, "RETRY", {"attempts": 1})
    base = chosen()
    service.program.extend([{"behave": behave}] * 5)

    run = finish(embed_waiting()[0])

    assert error_of(run)["class"] in ("rate_limit", "invalid_output")
    assert embed_waiting() == [], "it rests for a while"
    Run.objects.filter(id=run.id).update(ended_at="2001-01-01T00:00:00Z")
    service.program.clear()
    assert len(embed_waiting()) == 1
    assert Passage.objects.filter(base=base, embedded_by="vectors").count() in (0, Passage.objects.count())


def test_a_model_that_makes_none_is_refused(service: ModelServer) -> None:
    make_model("talker")
    base = make_shop()

    for name, said in (("talker", "talker makes no embeddings"), ("nobody", "the catalogue has no model 'nobody'")):
        with pytest.raises(Invalid) as refusal:
            change_base(make_actor("builder"), base, name)
        assert refusal.value.problems[0].message == said


def test_a_question_asked_by_hand_is_looked_for_by_meaning_too_at_the_ledgers_cost(drive: Drive, service: ModelServer) -> None:
    drive()
    base = chosen()
    vectors = indexed()
    builder = Client()
    builder.force_login(make_person("builder"))

    by_words = builder.get("/knowledge/shop", {"q": "zzz"}).content.decode()
    started = builder.post("/knowledge/shop/trials", {"q": "How long may goods be sent back?"})
    waiting = builder.get(started["Location"]).content.decode()
    run = finish(Run.objects.filter(purpose="test").latest("id"))
    found = builder.get(started["Location"]).content.decode()

    assert 'data-testid="ask-model"' in by_words
    assert 'data-testid="ask-model"' not in waiting
    embedded, looked = calls_of(run, "look")
    assert (embedded.kind, embedded.target, embedded.reason) == ("model", "vectors", "embeds the question to shop")
    assert embedded.settled == Decimal(2) * (embedded.input_tokens or 0) / 1_000_000
    assert Call.objects.filter(PURPOSES["test"], run=run).aggregate(sum=Sum("settled"))["sum"] == embedded.settled
    assert run.spent == embedded.settled
    assert run.started_by is not None
    hits = json.loads(looked.response or "")
    assert hits
    assert all(hit["id"] in found for hit in hits)
    assert "by words and meaning" in found
    assert f"/runs/{run.public_id}" in found
    other = builder.get("/knowledge/shop", {"q": "x", "trial": vectors.public_id}).content.decode()
    assert "by words alone" in other
    with pytest.raises(Forbidden):
        try_search(make_actor("operator"), base, "x")
