"""Saving a draft."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid
from flows.access.rights import Right, require, require_scope
from flows.builder.checking import read_document, require_runnable
from flows.builder.publishing import locked
from flows.builder.reads import visible_flow
from flows.engine.canonical import sha256_of
from flows.engine.document import FlowDocument, dump_document
from flows.models import Flow, Team

SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
ADDRESSES = frozenset({"new", "import", "bulk"})  # pages beside those of the flows


class DraftChanged(Conflict):
    """The draft was changed since you read it. Read it again, bring in your changes, and save with its revision."""

    slug = "stale-revision"

    def __init__(self, current: int) -> None:
        self.current = current
        super().__init__(
            f"The draft is at revision {current}. Read it again, bring in your changes, and save with that revision."
        )

    def facts(self) -> dict[str, int]:
        return {"revision": self.current}


class SlugTaken(Conflict):
    """There is already a flow of this name."""

    slug = "slug-taken"


def save_draft(
    actor: Actor, slug: str, text: str, revision: int | None = None, *, team: Team | None = None, runnable: bool = True
) -> Flow:
    """Makes the YAML or JSON `text` the draft of the flow; a flow that does not exist yet is created, in `team` or, where the
    actor edits everybody's flows, without one.

    `revision` is the one that was edited: a draft that has moved on is not overwritten (None overwrites). `runnable` False saves
    a document that does not compile yet, as an editor does; its form must be right. An unchanged document changes nothing. Raises
    `DocumentRefused` with every problem, `DraftChanged`, `SlugTaken`, `Forbidden`, `Invalid`, `FlowArchived`.
    """
    require_scope(actor, Right.EDIT_FLOWS)
    if not SLUG.fullmatch(slug) or slug in ADDRESSES:
        mend = "Choose another." if slug in ADDRESSES else "Use a-z, 0-9, - and _, at most 80 characters."
        fault = Fault("slug", f"{slug[:80]!r} is no name of a flow", mend)
        raise Invalid("The flow cannot be saved.", problems=[fault])
    known = visible_flow(actor, slug)
    if known is not None:
        require(actor, Right.EDIT_FLOWS, known)
    else:
        team = _team_of_new_flow(actor, team)
    document = read_document(text)
    if runnable:
        belongs = known.team_id if known is not None else team.id if team is not None else None
        require_runnable(document, slug, belongs)
    if known is None:
        return _create(actor, slug, document, team)
    return _change(actor, known, document, revision)


def _create(actor: Actor, slug: str, document: FlowDocument, team: Team | None) -> Flow:
    draft = dump_document(document)
    try:
        with transaction.atomic():
            flow = Flow.objects.create(
                slug=slug,
                name=document.name[:160],
                description=document.description,
                team=team,
                draft=draft,
                created_by=actor.person,
            )
            record_change(
                actor, "flow.create", "flow", slug, {"name": flow.name, "team": team and team.slug, "sha256": sha256_of(draft)}
            )
    except IntegrityError:
        raise SlugTaken from None
    return flow


def _change(actor: Actor, known: Flow, document: FlowDocument, revision: int | None) -> Flow:
    draft = dump_document(document)
    with transaction.atomic():
        flow = locked(known)
        if flow.draft == draft:
            return flow
        if revision is not None and flow.revision != revision:
            raise DraftChanged(flow.revision)
        flow.draft, flow.name, flow.description = draft, document.name[:160], document.description
        flow.revision += 1
        flow.save(update_fields=["draft", "name", "description", "revision", "changed_at"])
        record_change(actor, "flow.save", "flow", flow.slug, {"revision": flow.revision, "sha256": sha256_of(draft)})
    return flow


def _team_of_new_flow(actor: Actor, team: Team | None) -> Team | None:
    """The team that a new flow belongs to: the one named, none for who edits everywhere, else the only one there can be."""
    if team is not None:
        require(actor, Right.EDIT_FLOWS, team)
        return team
    if Right.EDIT_FLOWS in actor.holdings.everywhere:
        return None
    teams = actor.holdings.teams(Right.EDIT_FLOWS)
    if not teams:
        raise Forbidden(Right.EDIT_FLOWS)
    if len(teams) > 1:
        slugs = ", ".join(sorted(actor.holdings.team_slugs[found] for found in teams))
        raise Invalid("The flow needs a team.", problems=[Fault("team", "is not given", f"Name one of: {slugs}.")])
    return Team.objects.get(id=teams[0])
