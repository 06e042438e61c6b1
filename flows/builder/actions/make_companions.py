"""Making the flows that a template runs inside its own, and the knowledge bases that it searches."""

from __future__ import annotations

from collections.abc import Mapping

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid
from flows.builder.actions.create_flow import create_flow
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.catalogue import current
from flows.builder.templates import (
    MAKE,
    current_prices,
    document_of_base,
    fitted,
    routes_needed,
    template_named,
    tools_needed,
)
from flows.models import Team
from flows.retrieval.actions.create_base import create_base
from flows.retrieval.actions.put_document import put_document


def make_companions(actor: Actor, flows: Mapping[str, str], team: Team | None, teams: frozenset[str]) -> dict[str, str]:
    """For each flow that a template names, the one that stands for it. Where that is `MAKE`, it is made of its own template, with what
    the catalogue has, and published, for only a published flow can be run by another. Call it in the transaction that makes the flow
    itself. Raises `Forbidden`, `Invalid`, `DocumentRefused`."""
    return {name: _made(actor, name, team, teams) if chosen == MAKE else chosen for name, chosen in flows.items()}


def make_bases(actor: Actor, bases: Mapping[str, str], team: Team | None) -> dict[str, str]:
    """For each knowledge base that a template names, the one that stands for it. Where that is `MAKE`, it is made with the document that
    the gallery has for it, which is found once it is indexed. Raises `Forbidden`, `Invalid`, and `BaseExists` where another team's base
    has the name."""
    return {name: _made_base(actor, name, team) if chosen == MAKE else chosen for name, chosen in bases.items()}


def _made_base(actor: Actor, name: str, team: Team | None) -> str:
    base = create_base(actor, name, name.replace("_", " ").capitalize(), team=team)
    put_document(actor, base, *document_of_base(name))
    return base.slug


def _made(actor: Actor, name: str, team: Team | None, teams: frozenset[str]) -> str:
    template = template_named(name)
    if template is None or template.document is None:
        raise Invalid(
            "A flow that this template runs cannot be made.", problems=[Fault(name, "has no template that can be used")]
        )
    known, prices = current(None, None), current_prices()
    routes = {need.name: need.chosen for need in routes_needed(template, known.ground, prices.simulated)}
    tools = {need.name: need.chosen for need in tools_needed(template, known.ground)}
    flow = create_flow(actor, text=fitted(template, routes, tools, teams), team=team)
    publish_flow(actor, flow.slug, note="Made of its template, for a flow that runs it")
    return flow.slug
