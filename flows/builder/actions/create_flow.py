"""Making a new flow."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require_scope
from flows.builder.actions.save_draft import ADDRESSES, SlugTaken, save_draft
from flows.builder.checking import read_document
from flows.engine.document import FlowDocument, Limits, dump_document
from flows.models import Flow, Team

LONGEST_NAME = 160  # characters
TRIES = 20
FIRST_LIMIT = Decimal("1.00")
"""Dollars that a run of a blank flow may spend before a person is asked: a flow begins with a purse, and its maker sets it."""


def create_flow(actor: Actor, name: str = "", *, text: str | None = None, team: Team | None = None) -> Flow:
    """A new flow called `name`, with the document `text` (YAML or JSON) or none to begin with, as a draft that need not run yet.

    Without `name` it is called as the document says. Its slug comes from the name; one that is taken gets a number. Raises
    `Forbidden`, `Invalid`, `DocumentRefused`.
    """
    require_scope(actor, Right.EDIT_FLOWS)
    document = read_document(text) if text is not None else None
    name = " ".join(name.split()) or (document.name if document is not None else "")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid("The flow cannot be made.", problems=[Fault("name", f"takes 1 to {LONGEST_NAME} printable characters")])
    if document is None:
        document = FlowDocument(orchestrator=1, name=name, limits=Limits(cost=FIRST_LIMIT), steps={}, edges=[])
    written = dump_document(document.model_copy(update={"name": name}))
    wanted = slug_of(name)
    for number in range(1, TRIES + 1):
        slug = wanted if number == 1 else f"{wanted[:76]}-{number}"
        if slug in ADDRESSES or Flow.objects.filter(slug=slug).exists():
            continue
        try:
            return save_draft(actor, slug, written, revision=0, team=team, runnable=False)
        except SlugTaken:
            continue
    raise SlugTaken


def slug_of(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:80].rstrip("-") or "flow"
