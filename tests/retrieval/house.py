"""A small knowledge base about a shop, for the tests of this room."""

from __future__ import annotations

from flows.models import KnowledgeBase, KnowledgeDocument, Team
from flows.retrieval.actions.create_base import create_base
from flows.retrieval.actions.put_document import put_document
from flows.retrieval.indexing import index_document
from tests.makers import make_actor

REFUNDS = """# Refunds

Customers may send goods back within 30 days and get their money back. After that the shop gives a voucher.

# Shipping

Parcels leave our warehouse in Rotterdam on the day of the order. Express delivery takes one working day.
"""
WARRANTY = "The guarantee covers defects of the motor for two years. Batteries such as the XK-4431 are excluded."
GARDEN = "Tomatoes want sun, water in the morning and a stake. Pinch out side shoots in June."


def make_base(slug: str = "shop", team: Team | None = None) -> KnowledgeBase:
    return create_base(make_actor("owner"), slug, "The shop", team=team)


def bring(base: KnowledgeBase, source: str, text: str, **facts: str) -> KnowledgeDocument:
    """A document, indexed."""
    document = put_document(make_actor("builder"), base, source, text.encode(), facts=facts)
    index_document(document.id)
    document.refresh_from_db()
    assert document.state == "ready", document.error
    return document


def make_shop() -> KnowledgeBase:
    base = make_base()
    bring(base, "refunds.md", REFUNDS, product="all")
    bring(base, "warranty.txt", WARRANTY, product="mower")
    bring(base, "garden.txt", GARDEN, product="seeds")
    return base
