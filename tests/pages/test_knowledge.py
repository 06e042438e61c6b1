"""The pages of knowledge bases."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from flows.models import KnowledgeBase, Passage
from flows.retrieval.indexing import index_document
from tests.execution.runs import make_model
from tests.makers import make_flow, make_person
from tests.retrieval.house import bring, make_base, make_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def builder() -> Client:
    client = Client()
    client.force_login(make_person("builder"))
    return client


def seen(client: Client, url: str) -> str:
    answer = client.get(url, follow=True)
    assert answer.status_code == 200, answer.content.decode()[:1500]
    return answer.content.decode()


def test_from_nothing_to_a_passage_that_is_found(builder: Client) -> None:
    assert "No knowledge yet" in seen(builder, "/knowledge")
    answer = builder.post("/knowledge/new", {"slug": "shop", "name": "The shop", "language": "english"})
    assert answer["Location"] == "/knowledge/shop"
    assert "No documents yet" in seen(builder, "/knowledge/shop")

    files = [
        SimpleUploadedFile("refunds.md", b"# Refunds\n\nGoods come back within 30 days."),
        SimpleUploadedFile("broken.pdf", b"no"),
    ]
    refused = builder.post("/knowledge/shop/documents", {"files": files})

    page = refused.content.decode()
    assert refused.status_code == 422
    assert "broken.pdf" in page
    assert "it is no PDF that can be read" in page
    assert "The other 1 are being indexed." in page
    assert "0 of 1 documents are indexed" in page
    assert 'hx-trigger="every 2s"' in page
    index_document(KnowledgeBase.objects.get().documents.get().id)
    assert "hx-trigger" not in seen(builder, "/knowledge/shop/progress")
    found = seen(builder, "/knowledge/shop?q=how+long+for+goods")
    assert "Goods come back within 30 days." in found
    passage = KnowledgeBase.objects.get().documents.get().passages.get()
    assert f"/knowledge/passages/{passage.public_id}" in found
    assert f'id="{passage.public_id}"' in seen(builder, f"/knowledge/passages/{passage.public_id}")
    assert f'id="{passage.public_id}"' in seen(builder, f"/go/{passage.public_id}")


def test_what_was_typed_is_kept_where_it_is_refused(builder: Client) -> None:
    make_base()

    page = builder.post("/knowledge/shop/documents", {"source": "", "text": "Typed with care."}).content.decode()

    assert "Typed with care." in page
    assert "is no name of a document" in page
    again = builder.post("/knowledge/new", {"slug": "My Shop", "name": "Mine"})
    assert again.status_code == 422
    assert 'value="My Shop"' in again.content.decode()


def test_a_base_that_a_published_flow_searches_is_kept(builder: Client) -> None:
    make_shop()
    flow = make_flow(
        "answers",
        document="orchestrator: 1\nname: Answers\nsteps:\n  look: {kind: retrieve, with: {base: shop, query: x}}\nedges: [start -> look]\n",
    )

    page = seen(builder, "/knowledge/shop/removal")
    refused = builder.post("/knowledge/shop/removal")

    assert "Published flows search it" in page
    assert refused.status_code == 409
    assert KnowledgeBase.objects.exists()
    flow.archived_at = flow.created_at
    flow.save()
    assert builder.post("/knowledge/shop/removal")["Location"] == "/knowledge"
    assert not KnowledgeBase.objects.exists()


def test_a_removed_document_is_gone_for_good(builder: Client) -> None:
    base = make_shop()
    document = base.documents.get(source="garden.txt")
    passage = document.passages.get()

    assert "Remove garden.txt?" in seen(builder, f"/knowledge/shop/documents/{document.public_id}/removal")
    builder.post(f"/knowledge/shop/documents/{document.public_id}/removal")

    assert "Tomatoes" not in seen(builder, "/knowledge/shop?q=tomatoes")
    assert builder.get(f"/knowledge/passages/{passage.public_id}").status_code == 404
    assert builder.get(f"/knowledge/shop/documents/{document.public_id}").status_code == 404


def test_who_may_not_edit_is_shown_no_acts() -> None:
    bring(make_base(), "a.txt", "Once.")
    viewer = Client()
    viewer.force_login(make_person("viewer"))

    page = seen(viewer, "/knowledge/shop")

    for act in ("add-form", "reindex", "remove-base"):
        assert f'data-testid="{act}"' not in page
    assert viewer.post("/knowledge/shop/reindexing").status_code == 403


def test_the_text_of_a_document_is_shown_as_text(builder: Client) -> None:
    base = make_base()
    document = bring(base, "<b>.txt", "<script>alert(1)</script> & more")

    page = seen(builder, f"/knowledge/shop/documents/{document.public_id}")

    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "<script>alert" not in page


def test_a_base_says_which_model_makes_its_vectors_and_how_far_it_is(builder: Client) -> None:
    base = make_shop()
    assert 'data-testid="vectors-form"' not in seen(builder, "/knowledge/shop"), "no model can"
    make_model("vectors", capabilities=["embeddings"])

    assert "the product: no network, no cost" in seen(builder, "/knowledge/shop")
    assert builder.post("/knowledge/shop/vectors", {"embedding": "vectors"}).status_code == 302

    page = seen(builder, "/knowledge/shop")
    count = Passage.objects.filter(base=base).count()
    assert f"0 of {count} passages have a vector by" in page
    assert 'hx-trigger="every 2s"' in page
    Passage.objects.filter(base=base).update(embedded_by="vectors")
    assert "hx-trigger" not in seen(builder, "/knowledge/shop/progress")
    refused = builder.post("/knowledge/shop/vectors", {"embedding": "nobody"})
    assert refused.status_code == 422
    assert "no model" in refused.content.decode()
