"""Saving a draft."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid
from flows.access.rights import Right, require, require_scope
from flows.builder.checking import read_document, require_runnable
from flows.builder.drafts import Draft, draft_of_text
from flows.builder.publishing import locked
from flows.builder.reads import visible_flow
from flows.engine.canonical import sha256_of
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
    a document that cannot run yet, as long as it can be drawn. An unchanged document changes nothing. Raises `DocumentRefused` with
    every problem or `NotAFlow`, `DraftChanged`, `SlugTaken`, `Forbidden`, `Invalid`, `FlowArchived`.
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
        team = team_of_new_flow(actor, team)
    if runnable:
        belongs = known.team_id if known is not None else team.id if team is not None else None
        require_runnable(read_document(text), slug, belongs)
    draft = draft_of_text(text)
    if known is None:
        return begin_flow(actor, slug, draft, team)
    return change_draft(actor, known, draft, revision)


def begin_flow(actor: Actor, slug: str, draft: Draft, team: Team | None) -> Flow:
    """A new flow with this draft. Raises `SlugTaken`."""
    text = draft.text
    try:
        with transaction.atomic():
            flow = Flow.objects.create(
                slug=slug,
                name=draft.name or slug,
                description=draft.description,
                team=team,
                draft=text,
                created_by=actor.person,
            )
            record_change(
                actor, "flow.create", "flow", slug, {"name": flow.name, "team": team and team.slug, "sha256": sha256_of(text)}
            )
    except IntegrityError:
        raise SlugTaken from None
    return flow


def free_slug(wanted: str) -> str:
    """`wanted`, or with the lowest number that makes it a new one."""
    taken = set(Flow.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    return next(slug for slug in (wanted, *(f"{wanted}-{n}" for n in range(2, len(taken) + 3))) if slug not in taken)


def change_draft(actor: Actor, known: Flow, draft: Draft, revision: int | None) -> Flow:
    """Makes `draft` the flow's. The same draft again changes nothing. Raises `DraftChanged`, `FlowArchived`."""
    text = draft.text
    with transaction.atomic():
        flow = locked(known)
        if flow.draft == text:
            return flow
        if revision is not None and flow.revision != revision:
            raise DraftChanged(flow.revision)
        flow.draft, flow.name, flow.description = text, draft.name or flow.name, draft.description
        flow.revision += 1
        flow.save(update_fields=["draft", "name", "description", "revision", "changed_at"])
        record_change(actor, "flow.save", "flow", flow.slug, {"revision": flow.revision, "sha256": sha256_of(text)})
    return flow


def team_of_new_flow(actor: Actor, team: Team | None) -> Team | None:
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
