"""How far indexing a base anew is: an errand whose parts, the documents, are jobs of their own. Only their count is kept here."""

from __future__ import annotations

from uuid import UUID

from flows.access.actor import Actor
from flows.execution.errands import CarriedByOthers, advance, begin_errand, carries, carry, leave_out
from flows.models import Errand, KnowledgeBase, KnowledgeDocument, Person
from flows.models.identifiers import new_id

KIND = "base.reindex"


def begin_counting(by: Person, base: KnowledgeBase, documents: int) -> Errand:
    """To be called in the transaction that makes the documents wait."""
    title = f"Index {documents:,} document{'' if documents == 1 else 's'} of {base.name} again"
    address = f"/knowledge/{base.slug}"
    return begin_errand(by, KIND, title, documents, key=f"reindex-{new_id().hex}", subject=address, base=base.id.hex)


def count_on(base_id: UUID) -> None:
    """A document of the base waits no more."""
    for errand_id in Errand.objects.filter(kind=KIND, about__base=base_id.hex, ended_at=None).values_list("id", flat=True):
        carry(errand_id)


@carries(KIND)
def count(errand: Errand, actor: Actor) -> None:
    """Counts what waits. Raises `CarriedByOthers` where anything does."""
    documents = KnowledgeDocument.objects.filter(base_id=UUID(errand.about["base"]))
    waiting = documents.filter(state="waiting").count()
    fresh = errand.wanted - waiting - errand.done
    if fresh > 0:
        advance(errand, fresh)
    if waiting:
        raise CarriedByOthers
    for document in documents.filter(state="failed").only("source", "error"):
        leave_out(errand, document.source, document.error, errand.subject)
