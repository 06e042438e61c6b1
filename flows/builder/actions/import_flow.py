"""Importing a flow from a file's text."""

from __future__ import annotations

from flows.access.actor import Actor
from flows.access.rights import Right, require_scope
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.actions.save_draft import save_draft
from flows.models import Flow, FlowVersion, Team


def import_flow(
    actor: Actor, slug: str, text: str, *, publish: bool = False, team: Team | None = None
) -> tuple[Flow, FlowVersion | None]:
    """The flow with `text` as its draft, and the version that was published where `publish` asks for one.

    A draft that somebody edited meanwhile is overwritten: the file is the truth. Raises what `save_draft` and `publish_flow` do.
    """
    if publish:
        require_scope(actor, Right.PUBLISH_FLOWS)
    flow = save_draft(actor, slug, text, team=team)
    return flow, publish_flow(actor, slug) if publish else None
