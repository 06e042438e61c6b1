"""Secrets of tools, connections and models from the command line: their values are read, never printed."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from flows.access.actions.put_secret import put_secret, remove_secret, reseal, using
from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.api.secrets import SecretsShape, secret_shape
from flows.models import Secret
from orchestrator.management.verbs import VerbCommand


class Command(VerbCommand):
    help = "List, write, grant and remove secrets, and seal them anew."

    def add_verbs(self) -> None:
        self.verb("list", "all secrets with what they are granted to", shows=True)
        put = self.verb("put", "write a secret; its value is asked for, or read from the standard input")
        put.add_argument("name")
        put.add_argument("--tool", action="append", default=[], help="slug, or connection:NAME; it is granted to these alone")
        put.add_argument("--model", action="append", default=[], help="slug")
        put.add_argument("--keep", action="store_true", help="the value that it has, and only grant it anew")
        self.verb("remove", "a secret that nothing names").add_argument("name")
        self.verb("reseal", "seal anew what was sealed under a former key")

    def do_list(self, actor: Actor, json: bool, **options: Any) -> None:
        require(actor, Right.MANAGE_CATALOGUE)
        found = Secret.objects.defer("sealed").order_by("name")
        if json:
            self.write_json(SecretsShape, {"items": [secret_shape(row) for row in found]})
            return
        for row in found:
            granted = ", ".join([*row.tools, *row.models]) or "nothing"
            used = ", ".join(using(row.name)) or "nothing"
            self.stdout.write(f"{row.name}: granted to {granted}, named by {used}, written {row.rotated_at:%Y-%m-%d}")

    def do_put(self, actor: Actor, name: str, tool: list[str], model: list[str], keep: bool, **options: Any) -> None:
        row = put_secret(actor, name, "" if keep else self.value(), tool, model)
        self.stdout.write(f"{row.name}: granted to {', '.join([*row.tools, *row.models]) or 'nothing'}")

    def do_remove(self, actor: Actor, name: str, **options: Any) -> None:
        remove_secret(actor, name)
        self.stdout.write(f"{name} was removed.")

    def do_reseal(self, actor: Actor, **options: Any) -> None:
        self.stdout.write(f"{reseal(actor)} were sealed under the newest key.")

    def value(self) -> str:
        return getpass.getpass("Value: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
