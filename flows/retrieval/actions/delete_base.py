"""Removing a knowledge base with all that it holds."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, NotFound
from flows.access.rights import Right, require
from flows.models import KnowledgeBase


class BaseInUse(Conflict):
    """Published flows search this knowledge base."""

    slug = "base-in-use"


def delete_base(actor: Actor, base: KnowledgeBase, used_by: Sequence[str]) -> None:
    """The base, its documents and passages are gone. `used_by` names the published flows that search it: with any it is refused.

    Raises `Forbidden`, `BaseInUse` naming the flows, and `NotFound`.
    """
    require(actor, Right.EDIT_FLOWS, base.team)
    if used_by:
        raise BaseInUse(f"{base.name} is searched by {', '.join(used_by)}. Publish these without it, or archive them, first.")
    with transaction.atomic():
        found = KnowledgeBase.objects.select_for_update().filter(id=base.id).first()
        if found is None:
            raise NotFound("knowledge base")
        record_change(actor, "base.delete", "knowledge", base.slug, {"documents": found.documents.count()})
        found.delete()
