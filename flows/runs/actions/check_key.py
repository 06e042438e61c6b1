"""Asking a provider whether it takes a model's key."""

from __future__ import annotations

import asyncio
from typing import Protocol

from flows.access.actor import Actor
from flows.access.egress import Egress
from flows.access.granted import Sealed, missing
from flows.access.rights import Right, require
from flows.engine.failures import BadKey
from flows.models import AllowedHost, Secret
from flows.routing.keycheck import KeyCheck, check_provider
from flows.routing.keys import key_in


class Keyed(Protocol):
    """What is known of a model that has a key: a `ModelEntry`, or the part of a catalogue that is to become one."""

    @property
    def model(self) -> str: ...
    @property
    def api_base(self) -> str: ...
    @property
    def api_key_env(self) -> str: ...
    @property
    def api_key_secret(self) -> str: ...


def check_key(actor: Actor, slug: str, keyed: Keyed, *, granting: bool = False) -> KeyCheck:
    """What the provider says of the key that a call of this model would send; with `granting` also of a secret that is about to be
    granted to it. Saves nothing, costs nothing. Raises `Forbidden`."""
    require(actor, Right.MANAGE_CATALOGUE)
    try:
        key = _key(slug, keyed, granting=granting)
    except BadKey as refused:
        return KeyCheck("refused", refused.message)
    allowed = frozenset(AllowedHost.objects.values_list("host", flat=True))
    return asyncio.run(_checked(keyed.model, keyed.api_base, key, allowed))


def _key(slug: str, keyed: Keyed, *, granting: bool) -> str:
    if keyed.model.startswith("sim/"):
        return ""
    if not keyed.api_key_secret:
        return key_in(keyed.api_key_env, slug) if keyed.api_key_env else ""
    row = Secret.objects.filter(name=keyed.api_key_secret).first()
    if row is None:
        raise missing(slug, keyed.api_key_secret)
    secret = Sealed(row.name, row.sealed, row.key_id, row.tools, row.models)
    return secret.opened() if granting else secret.opened_for("model", slug)


async def _checked(model: str, api_base: str, key: str, allowed: frozenset[str]) -> KeyCheck:
    egress = Egress(lambda: allowed)
    try:
        return await check_provider(model, api_base, key, egress)
    finally:
        await egress.aclose()
