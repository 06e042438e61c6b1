"""Reading and cutting documents, and what is refused."""

from __future__ import annotations

import io

import pytest
from pypdf import PdfWriter

from flows.access.refusals import Conflict, Forbidden, Invalid
from flows.models import AuditRow, KnowledgeDocument
from flows.retrieval.actions.create_base import create_base
from flows.retrieval.actions.delete_base import BaseInUse, delete_base
from flows.retrieval.actions.put_document import put_document
from flows.retrieval.actions.reindex_base import reindex_base
from flows.retrieval.indexing import index_document, lost_documents
from flows.retrieval.passages import LONGEST, cut
from flows.retrieval.reading import Unreadable, media_type_of, text_of
from tests.makers import make_actor, make_team
from tests.retrieval.house import bring, make_base

PAGE = """<html><head><title>x</title><style>p {color: red}</style></head><body><nav>Home</nav>
<h1>Returns</h1><p>Within <b>30</b> days.</p><script>alert("no")</script></body></html>"""


def pdf_of(text: str) -> bytes:
    """A PDF of one page, written by hand: pypdf writes no text."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = b"%PDF-1.4\n", []
    for n, part in enumerate(parts, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (n, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    begins = len(data)
    return data + b"xref\n0 6\n0000000000 65535 f \n%strailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (table, begins)


def locked_pdf() -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret")
    data = io.BytesIO()
    writer.write(data)
    return data.getvalue()


def test_html_gives_what_people_read() -> None:
    text = text_of("returns.html", "text/html", PAGE.encode())

    assert "Returns" in text
    assert "30" in text
    for unseen in ("alert", "color", "Home"):
        assert unseen not in text


def test_pdf_gives_its_text() -> None:
    assert text_of("returns.pdf", "application/pdf", pdf_of("Goods come back within 30 days")) == "Goods come back within 30 days"


@pytest.mark.parametrize(
    ("source", "data", "why"),
    [
        ("a.pdf", b"PK\x03\x04 this is no PDF", "no PDF that can be read"),
        ("b.pdf", b"%PDF-1.4\n%%EOF", "no PDF that can be read"),
        ("c.pdf", locked_pdf(), "locked by a password"),
        ("d.txt", b"\xff\xfa\x00binary", "no text in UTF-8"),
        ("e.txt", b"  \n \n", "holds no text"),
        ("f.txt", b"x" * (21 * 2**20), "at most 20 MB"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_reason(source: str, data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why) as refused:
        text_of(source, media_type_of(source), data)
    assert source in refused.value.message


def test_every_word_stands_in_a_passage_and_none_is_longer_than_it_may_be() -> None:
    text = "\n\n".join(f"# Part {n}\n\n" + " ".join(f"word{n}x{m}" for m in range(300)) for n in range(20))

    parts = cut(text, "text/markdown")

    assert max(len(part.text) for part in parts) <= LONGEST
    assert all(text[part.begins : part.ends] == part.text for part in parts)
    assert set(" ".join(part.text for part in parts).split()) == set(text.split())


@pytest.mark.django_db
def test_the_same_text_again_changes_nothing() -> None:
    base = make_base()
    first = bring(base, "a.txt", "Once.")
    again = put_document(make_actor("builder"), base, "a.txt", b"Once.")

    assert (again.id, again.state) == (first.id, "ready")
    assert list(AuditRow.objects.filter(action__startswith="document.").values_list("action", flat=True)) == ["document.add"]


@pytest.mark.django_db
def test_a_document_whose_ring_was_lost_is_found_again() -> None:
    base = make_base()
    document = put_document(make_actor("builder"), base, "a.txt", b"Once.")
    assert lost_documents() == []
    KnowledgeDocument.objects.filter(id=document.id).update(created_at="2026-01-01T00:00:00Z")

    assert lost_documents() == [document.id]
    assert index_document(document.id)
    assert not index_document(document.id)
    assert lost_documents() == []


@pytest.mark.django_db
def test_indexing_anew_keeps_what_is_found_until_its_turn() -> None:
    base = make_base()
    document = bring(base, "a.txt", "Once.")

    assert reindex_base(make_actor("builder"), base) == 1
    assert document.passages.count() == 1
    assert index_document(document.id)
    assert document.passages.count() == 1


@pytest.mark.django_db
def test_rights_and_names() -> None:
    team = make_team()
    with pytest.raises(Forbidden):
        create_base(make_actor("operator"), "shop")
    with pytest.raises(Invalid, match="is no name"):
        create_base(make_actor("builder"), "My shop")
    with pytest.raises(Invalid, match="does not know 'klingon'"):
        create_base(make_actor("builder"), "shop", language="klingon")
    base = create_base(make_actor("builder", team=team), "shop", team=team)
    with pytest.raises(Conflict):
        create_base(make_actor("builder"), "shop")
    with pytest.raises(Forbidden):
        put_document(make_actor("builder", team=make_team()), base, "a.txt", b"x")
    with pytest.raises(Invalid, match="source"):
        put_document(make_actor("builder"), base, " ", b"x")
    with pytest.raises(BaseInUse, match="Answers"):
        delete_base(make_actor("builder"), base, ["Answers"])
    delete_base(make_actor("builder"), base, [])
    assert not base.documents.exists()
