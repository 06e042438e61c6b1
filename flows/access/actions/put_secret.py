"""Secrets of tools and models: written, replaced, granted and removed; never read back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.granted import connection_holder
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.access.vault import Unreadable, fingerprint, seal, unseal
from flows.models import Connection, MCPServer, ModelEntry, Secret, ToolEntry

NAME = re.compile(r"[A-Z][A-Z0-9_]{0,79}")
SHORTEST, LONGEST = 8, 10_000
"""Characters of a value: one that is shorter would be hidden wherever its letters stand."""


class InUse(Conflict):
    """Tools, connections or models use this secret. Take it out of them first."""

    slug = "secret-in-use"


def put_secret(actor: Actor, name: str, value: str, tools: Iterable[str], models: Iterable[str] = ()) -> Secret:
    """Writes a secret for these tools, connections (`connection:NAME`) and models alone; with an empty `value` an old one keeps its own.
    Raises `Forbidden`, and `Invalid` naming each fault."""
    require(actor, Right.MANAGE_CATALOGUE)
    granted = {"tools": sorted(set(tools)), "models": sorted(set(models))}
    row = Secret.objects.filter(name=name[:80]).first() if NAME.fullmatch(name) else None
    faults = []
    if not NAME.fullmatch(name):
        faults.append(Fault("name", "is no name of a secret", "Use capital letters, digits and underscores, such as STRIPE_KEY."))
    if (value or row is None) and not SHORTEST <= len(value) <= LONGEST:
        faults.append(Fault("value", f"has {len(value)} characters", f"Give {SHORTEST} to {LONGEST:,}."))
    known = {"tools": set(holders()), "models": set(ModelEntry.objects.values_list("slug", flat=True))}
    for kind, what in (("tools", "tool or connection"), ("models", "model")):
        faults += [Fault(kind, f"there is no {what} {slug[:80]!r}") for slug in granted[kind] if slug not in known[kind]]
    if faults:
        raise Invalid("The secret was not saved.", problems=faults)
    with transaction.atomic():
        values: dict[str, object] = {**granted}
        if value:
            sealed, key_id = seal(name, value)
            values |= {
                "sealed": sealed,
                "key_id": key_id,
                "fingerprint": fingerprint(value),
                "rotated_at": Now(),
                "by": actor.person,
            }
        before = _facts(row) if row is not None else None
        found, fresh = Secret.objects.update_or_create(name=name, defaults=values)
        what = "create" if fresh else "rotate" if value else "grant"
        record_change(actor, f"secret.{what}", "secret", name, {**granted, "before": before, "after": _facts(found)})
    return found


def _facts(row: Secret) -> dict[str, object]:
    """What of a secret may be told: by which fingerprint it is known, and to what it is granted."""
    return {"fingerprint": row.fingerprint, "tools": row.tools, "models": row.models}


def remove_secret(actor: Actor, name: str) -> None:
    """Removes a secret that no tool names. Raises `Forbidden`, `NotFound`, and `InUse` naming those that do."""
    require(actor, Right.MANAGE_CATALOGUE)
    with transaction.atomic():
        row = Secret.objects.select_for_update().filter(name=name[:80]).first()
        if row is None:
            raise NotFound(f"secret {name[:80]!r}")
        users = using(name)
        if users:
            raise InUse(f"{name} is used by {', '.join(users)}. Take it out of their settings first.")
        row.delete()
        record_change(actor, "secret.remove", "secret", name, {})


class SealedElsewhere(Conflict):
    """A secret was sealed under a key that this installation does not have. Nothing was changed."""

    slug = "sealed-elsewhere"


def reseal(actor: Actor) -> int:
    """Seals what was sealed under a former key anew, under the newest; gives how many. Raises `Forbidden`, and `SealedElsewhere`."""
    require(actor, Right.MANAGE_CATALOGUE)
    done = 0
    with transaction.atomic():
        for row in Secret.objects.select_for_update().order_by("name"):
            try:
                value = unseal(row.name, row.sealed, row.key_id)
            except Unreadable:
                raise SealedElsewhere(
                    f"{row.name} was sealed under a key that is not here. Write it anew, then seal the others."
                ) from None
            sealed, key_id = seal(row.name, value)
            if key_id != row.key_id:
                row.sealed, row.key_id, done = sealed, key_id, done + 1
                row.save(update_fields=["sealed", "key_id"])
                record_change(actor, "secret.reseal", "secret", row.name, {"key": key_id})
    return done


def holders() -> list[str]:
    """Everything that a secret can be granted to: tools by their slugs, connections and MCP servers as `connection:NAME`."""
    connections = [*Connection.objects.values_list("slug", flat=True), *MCPServer.objects.values_list("slug", flat=True)]
    return [*ToolEntry.objects.order_by("slug").values_list("slug", flat=True), *map(connection_holder, sorted(connections))]


def using(name: str) -> list[str]:
    """The tools and connections whose settings name the secret, and the models whose key it is."""
    return users_of_secrets().get(name, [])


def users_of_secrets() -> dict[str, list[str]]:
    """By secret the tools and connections whose settings name it, and the models whose key it is: four queries."""
    found: dict[str, list[str]] = {}
    tools = ToolEntry.objects.filter(settings__has_any_keys=["header_secret", "url_secret"]).order_by("slug")
    for slug, settings in tools.values_list("slug", "settings"):
        named = {*(settings.get("header_secret") or {}).values(), *filter(None, [settings.get("url_secret")])}
        for name in named:
            found.setdefault(name, []).append(slug)
    for slug, name in Connection.objects.exclude(secret="").order_by("slug").values_list("slug", "secret"):
        found.setdefault(name, []).append(connection_holder(slug))
    for slug, env, headers in MCPServer.objects.order_by("slug").values_list("slug", "env_secret", "header_secret"):
        for name in {*env.values(), *headers.values()}:
            found.setdefault(name, []).append(connection_holder(slug))
    for slug, name in ModelEntry.objects.exclude(api_key_secret="").order_by("slug").values_list("slug", "api_key_secret"):
        found.setdefault(name, []).append(slug)
    return found


def grant_to_model(actor: Actor, model: str, name: str) -> None:
    """Grants a model the secret `name`, and takes every other back from it; with no name, all. For who has checked rights and that
    there is such a secret; must run in a transaction."""
    for row in Secret.objects.select_for_update().filter(Q(name=name) | Q(models__contains=[model])).order_by("name"):
        models = sorted({*row.models, model} if row.name == name else {*row.models} - {model})
        if models != row.models:
            row.models = models
            row.save(update_fields=["models"])
            record_change(actor, "secret.grant", "secret", row.name, {"tools": row.tools, "models": models})
