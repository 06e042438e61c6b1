"""API keys from the command line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from flows.access.actions.create_key import create_key
from flows.access.actions.revoke_key import revoke_key
from flows.access.actor import SCOPES, Actor
from orchestrator.management.speaking import person_named
from orchestrator.management.verbs import VerbCommand
from orchestrator.people.api import KeyList, key_shape
from orchestrator.people.reads import key_named, keys_listed


class Command(VerbCommand):
    help = "List, make and end API keys."

    def add_verbs(self) -> None:
        listing = self.verb("list", "the keys, the newest first", shows=True)
        listing.add_argument("--user", default="", help="the person they act as")
        listing.add_argument("--state", default="active", choices=("active", "revoked", "all"))
        create = self.verb("create", "make a key and print it, once")
        create.add_argument("--user", required=True, help="the person it acts as")
        create.add_argument("--scopes", required=True, help=f"with commas between: {', '.join(SCOPES)}")
        create.add_argument("--label", default="", help="what it is for")
        create.add_argument("--days", type=float, help="until it expires; without it, it does not")
        self.verb("revoke", "end a key").add_argument("key", help="identifier (key_…)")

    def do_list(self, actor: Actor, user: str, state: str, json: bool, **options: Any) -> None:
        found = keys_listed(actor, state, user)
        if json:
            self.write_json(KeyList, {"items": [key_shape(each) for each in found]})
            return
        for each in found:
            used = f"last used {each.used_at:%Y-%m-%d %H:%M} UTC" if each.used_at is not None else "never used"
            ends = f", until {each.expires_at:%Y-%m-%d %H:%M} UTC" if each.expires_at is not None else ""
            gone = ", revoked" if each.revoked_at is not None else ""
            label = f" ({each.label})" if each.label else ""
            scopes = ", ".join(each.scopes)
            self.stdout.write(f"{each.public_id}: {each.hint}… of {each.person.username}{label}: {scopes}; {used}{ends}{gone}")

    def do_create(self, actor: Actor, user: str, scopes: str, label: str, days: float | None, **options: Any) -> None:
        person = person_named(user)
        wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
        expires = timezone.now() + timedelta(days=days) if days is not None else None
        key, secret = create_key(actor, person, wanted, label=label, expires_at=expires)
        self.stderr.write(f"A key for {person.username} ({', '.join(key.scopes)}). It is shown only now:")
        self.stdout.write(secret)

    def do_revoke(self, actor: Actor, key: str, **options: Any) -> None:
        found = key_named(actor, key)
        ended = revoke_key(actor, found)
        self.stdout.write(f"{found.hint}… is refused from now on." if ended else f"{found.hint}… was revoked before.")
