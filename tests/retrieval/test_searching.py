"""What a search finds, by words, by meaning and by both."""

from __future__ import annotations

import pytest

from flows.access.refusals import NotFound
from flows.models import Passage
from flows.retrieval.actions.delete_document import delete_document
from flows.retrieval.actions.put_document import put_document
from flows.retrieval.indexing import index_document
from flows.retrieval.reads import has_vectors, search
from flows.retrieval.searching import Search, Way
from tests.makers import make_actor
from tests.retrieval.house import bring, make_base, make_shop

pytestmark = pytest.mark.django_db


def test_the_embedded_server_has_vectors() -> None:
    assert has_vectors()


@pytest.mark.parametrize("way", ["words", "meaning", "both"])
def test_a_question_finds_the_passage_that_answers_it(way: Way) -> None:
    base = make_shop()

    hits = search(base, Search("How long may customers send goods back?", 2), way)

    assert hits[0].source == "refunds.md"
    assert "30 days" in hits[0].text
    assert 0 < hits[0].score <= 1


def test_meaning_finds_what_words_miss_and_words_what_meaning_misses() -> None:
    base = make_shop()

    assert search(base, Search("vegetable growing advice"), "words") == []
    assert search(base, Search("vegetable growing advice", 1), "both")[0].source == "garden.txt"
    assert search(base, Search("XK-4431", 1), "both")[0].source == "warranty.txt"


def test_the_filter_keeps_to_documents_with_these_facts() -> None:
    base = make_shop()

    assert {hit.source for hit in search(base, Search("sun goods motor", 10, {"product": "mower"}))} == {"warranty.txt"}
    assert {hit.source for hit in search(base, Search("sun goods motor", 10, {"source": "garden.txt"}))} == {"garden.txt"}
    assert search(base, Search("motor", 10, {"product": "none"})) == []


def test_what_hardly_fits_is_left_out() -> None:
    base = make_shop()

    assert search(base, Search("quarterly tax returns of a bank", 10))
    assert search(base, Search("quarterly tax returns of a bank", 10, least=0.6)) == []


@pytest.mark.parametrize("query", ["", "the of and", "' | & ! ( :* \\", "\\'", "%s %(x)s {0}", "🙂"])
def test_no_question_breaks_the_search(query: str) -> None:
    assert len(search(make_shop(), Search(query, 3))) <= 3


def test_a_deleted_document_never_returns() -> None:
    base = make_shop()
    document = base.documents.get(source="warranty.txt")
    delete_document(make_actor("builder"), base, document)

    assert all(hit.source != "warranty.txt" for hit in search(base, Search("XK-4431 motor guarantee", 10)))
    assert not Passage.objects.filter(document_id=document.id).exists()
    assert not index_document(document.id)  # its ring comes late
    with pytest.raises(NotFound):
        delete_document(make_actor("builder"), base, document)


def test_a_replaced_document_is_found_by_its_new_text_only() -> None:
    base = make_shop()
    document = put_document(make_actor("builder"), base, "warranty.txt", b"Nothing is covered on the moon.")

    assert all(hit.source != "warranty.txt" for hit in search(base, Search("XK-4431 motor guarantee", 10)))
    assert index_document(document.id)
    assert search(base, Search("moon", 1))[0].text == "Nothing is covered on the moon."


def test_bases_do_not_see_each_other() -> None:
    make_shop()
    other = make_base("other")
    bring(other, "a.txt", "The motor of the boat is loud.")

    assert {hit.source for hit in search(other, Search("motor guarantee goods back", 10))} == {"a.txt"}
