"""Finding policies."""

from __future__ import annotations

from approvals.models import Policy
from flows.access.actor import Actor
from flows.access.refusals import NotFound
from flows.access.rights import Right, require_scope


def policies_for(actor: Actor) -> list[Policy]:
    """All policies by name, those no longer in force too. Raises `NotFound` for who may see no request anywhere."""
    require_reading(actor)
    return list(Policy.objects.filter(current__isnull=False).select_related("current").order_by("name"))


def require_reading(actor: Actor) -> None:
    """Policies are for whoever may see a request somewhere. Raises `NotFound` for others."""
    require_scope(actor, Right.SEE_REQUESTS)
    if not actor.holdings.allow(Right.SEE_REQUESTS):
        raise NotFound("policy")


def policy_named(slug: str) -> Policy:
    """Raises `NotFound`."""
    found = Policy.objects.filter(slug=slug[:64], current__isnull=False).select_related("current").first()
    if found is None:
        raise NotFound(f"policy {slug[:64]!r}")
    return found
