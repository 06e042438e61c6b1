"""Keeping what an editor holds as the draft, whether it can run or not."""

from __future__ import annotations

from typing import Any

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.builder.actions.save_draft import begin_flow, change_draft, free_slug, team_of_new_flow
from flows.builder.drafts import Draft, NotAFlow, draft_of_text, draft_of_value, spelled_like
from flows.builder.reads import flow_named
from flows.models import Flow


def keep_draft(actor: Actor, slug: str, value: Any, revision: int) -> tuple[Flow, Draft]:
    """Makes the document `value` (JSON) the draft, and gives it with what is wrong with it: problems keep nobody from saving.

    `revision` is the one that was edited; a draft that has moved on is not overwritten, unless it says the same. Raises
    `NotFound`, `Forbidden`, `DraftChanged`, and `NotAFlow` for what cannot be drawn at all.
    """
    flow = flow_named(actor, slug)
    require(actor, Right.EDIT_FLOWS, flow)
    draft = draft_of_value(spelled_like(value, _value_of(flow.draft)))
    return change_draft(actor, flow, draft, revision), draft


def keep_copy(actor: Actor, slug: str, value: Any) -> Flow:
    """A new flow with the document `value` as its draft, in the team of the flow that it was made from where one may edit there.

    Raises `NotFound`, `Forbidden`, `NotAFlow`, and `Invalid` where it is not clear which team's it shall be."""
    flow = flow_named(actor, slug)
    require(actor, Right.SEE_FLOWS, flow)
    team = team_of_new_flow(actor, flow.team if actor.may(Right.EDIT_FLOWS, flow.team_id) else None)
    draft = draft_of_value(spelled_like(value, _value_of(flow.draft)))
    named = draft_of_value({**draft.value, "name": f"{(draft.name or flow.name)[:150]} (copy)"})
    return begin_flow(actor, free_slug(f"{slug[:70]}-copy"), named, team)


def _value_of(text: str) -> Any:
    try:
        return draft_of_text(text).value
    except NotAFlow:
        return None
