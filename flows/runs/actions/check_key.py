"""Asking a provider whether it takes a model's key."""

from __future__ import annotations

import asyncio

from flows.access.actor import Actor
from flows.access.egress import Egress
from flows.access.rights import Right, require
from flows.models import AllowedHost
from flows.routing.keycheck import KeyCheck, check_provider


def check_key(actor: Actor, model: str, api_base: str, api_key_env: str) -> KeyCheck:
    """What the provider says of the key in this environment variable. Saves nothing, costs nothing. Raises `Forbidden`."""
    require(actor, Right.MANAGE_CATALOGUE)
    allowed = frozenset(AllowedHost.objects.values_list("host", flat=True))
    return asyncio.run(_checked(model, api_base, api_key_env, allowed))


async def _checked(model: str, api_base: str, api_key_env: str, allowed: frozenset[str]) -> KeyCheck:
    egress = Egress(lambda: allowed)
    try:
        return await check_provider(model, api_base, api_key_env, egress)
    finally:
        await egress.aclose()
