"""The rules of who decides that flows may name. They are kept in a room above, which says at the start where they come from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from flows.builder.subflows import steps_within
from flows.engine.document import FlowDocument
from flows.engine.kinds import KnownPolicy


class PolicyBook(Protocol):
    """The policies of this installation."""

    def in_force(self, judged: Collection[str] = ()) -> Mapping[str, KnownPolicy]:
        """All that are in force, by their names in addresses: one query, and a few for each of `judged`, of which `problem` says
        whether anybody could decide by it."""
        ...


_book: PolicyBook | None = None


def use_book(book: PolicyBook) -> None:
    """Says where the policies are: called once when the process starts (`orchestrator/apps.py`)."""
    global _book
    _book = book


def known_policies() -> Mapping[str, KnownPolicy]:
    """All that are in force, to be chosen from. One query."""
    return _book.in_force() if _book is not None else {}


def named_policies(document: FlowDocument | None) -> Mapping[str, KnownPolicy]:
    """Those in force, the ones that the document names judged; none, without a query, where it names none."""
    named = (
        {str(step["with"]["policy"]) for _, step in steps_within(document) if _names_one(step)} if document is not None else set()
    )
    return _book.in_force(named) if named and _book is not None else {}


def _names_one(step: Mapping[str, object]) -> bool:
    settings = step.get("with")
    return step.get("kind") == "approval" and isinstance(settings, Mapping) and isinstance(settings.get("policy"), str)
