"""Knowledge bases over the API, from making one to finding and removing."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.test import Client

from flows.models import KnowledgeDocument
from flows.models.identifiers import parsed
from flows.retrieval.indexing import index_document
from tests.makers import make_key, make_person

pytestmark = pytest.mark.django_db


def test_documents_in_passages_out_and_gone() -> None:
    _, secret = make_key(make_person("builder"), "flows:write")

    def ask(method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        data = json.dumps(body) if body is not None else ""
        return Client().generic(method, f"/api/v1/knowledge{path}", data, content_type="application/json", headers=headers)

    assert ask("POST", "", {"slug": "shop", "name": "The shop"}).json()["documents"] == 0
    assert ask("POST", "", {"slug": "shop"}).status_code == 409
    text = {"source": "refunds.md", "text": "Goods come back within 30 days.", "facts": {"product": "all"}}
    made = ask("POST", "/shop/documents", text)
    assert (made.status_code, made.json()["state"]) == (202, "waiting")
    data = {"source": "b.txt", "data": base64.b64encode(b"Tomatoes want sun.").decode()}
    assert ask("POST", "/shop/documents", data).status_code == 202
    assert ask("POST", "/shop/documents", {"source": "c.txt", "data": "not base64!"}).json()["problems"][0]["place"] == "data"
    assert ask("POST", "/shop/documents", {"source": "c.txt"}).status_code == 422
    for document in KnowledgeDocument.objects.all():
        index_document(document.id)

    listed = ask("GET", "/shop/documents?limit=1").json()
    assert [item["source"] for item in listed["items"]] == ["b.txt"]
    rest = ask("GET", f"/shop/documents?limit=1&after={listed['next']}").json()
    assert [(item["source"], item["state"], item["facts"]) for item in rest["items"]] == [
        ("refunds.md", "ready", {"product": "all"})
    ]
    assert rest["next"] is None
    (found,) = ask("GET", "/shop/passages?query=how+long+for+goods&top=1").json()["items"]
    assert (found["source"], found["text"]) == ("refunds.md", "Goods come back within 30 days.")
    assert ask("GET", "").json()["items"][0] | {"created_at": ""} == {
        "slug": "shop",
        "name": "The shop",
        "team": None,
        "language": "english",
        "documents": 2,
        "passages": 2,
        "waiting": 0,
        "failed": 0,
        "embedding": "",
        "without_vector": 0,
        "created_at": "",
    }
    assert ask("POST", "/shop/reindexing").json() == {"waiting": 2}
    identifier = made.json()["id"]
    assert ask("DELETE", f"/shop/documents/{identifier}").status_code == 204
    assert not KnowledgeDocument.objects.filter(id=parsed("doc", identifier)).exists()
    assert ask("GET", f"/shop/documents/{identifier}").status_code == 404
    assert [hit["source"] for hit in ask("GET", "/shop/passages?query=goods").json()["items"]] != ["refunds.md"]
    assert ask("DELETE", "/shop").status_code == 204
    assert ask("GET", "/shop").status_code == 404
