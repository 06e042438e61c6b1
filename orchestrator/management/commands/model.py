"""Models of the catalogue from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.api.catalogue import ModelShape, ModelsShape, model_shape, models_listed, require_sight, stored_model
from flows.routing.entries import ModelPart
from flows.runs.actions.check_key import check_key
from flows.runs.actions.put_model import put_model, remove_model
from orchestrator.management.parts import part_in
from orchestrator.management.verbs import VerbCommand


class Command(VerbCommand):
    help = "List, show, make, change, check and remove the models that routes may ask."

    def add_verbs(self) -> None:
        listing = self.verb("list", "all models", shows=True)
        listing.add_argument("--provider", default="", help="such as openai")
        listing.add_argument("--capability", default="", help="such as tools")
        self.verb("show", "one model, as the API answers it").add_argument("name")
        put = self.verb("put", "make the model, or change it to what a file says (YAML or JSON)")
        put.add_argument("name")
        put.add_argument("file", type=Path)
        put.add_argument("--check", action="store_true", help="ask the provider first; where it refuses the key nothing is saved")
        put.add_argument("--grant", action="store_true", help="grant it the secret that is its key, and take every other back")
        self.verb("check", "ask the provider whether it takes the model's key; costs nothing").add_argument("name")
        self.verb("remove", "take it out of the catalogue; its prices and calls stay").add_argument("name")

    def do_list(self, actor: Actor, provider: str, capability: str, json: bool, **options: Any) -> None:
        require_sight(actor)
        found = models_listed(provider, capability)
        if json:
            self.write_json(ModelsShape, {"items": [model_shape(entry) for entry in found]})
            return
        for entry in found:
            able = f": {', '.join(entry.capabilities)}" if entry.capabilities else ""
            self.stdout.write(f"{entry.slug} ({entry.model}), {entry.context:,} tokens{able}")

    def do_show(self, actor: Actor, name: str, **options: Any) -> None:
        require_sight(actor)
        self.write_json(ModelShape, model_shape(stored_model(name)))

    def do_put(self, actor: Actor, name: str, file: Path, check: bool, grant: bool, **options: Any) -> None:
        put = put_model(actor, name, part_in(file, ModelPart, "model"), check=check, grant=grant)
        for warning in put.warnings:
            self.stderr.write(self.style.WARNING(f"WARNING: {warning}"))
        self.stdout.write("\n".join(put.changes) or f"{name}: nothing to change.")

    def do_check(self, actor: Actor, name: str, **options: Any) -> None:
        require(actor, Right.MANAGE_CATALOGUE)
        entry = stored_model(name)
        checked = check_key(actor, entry.slug, entry)
        if checked.verdict == "refused":
            raise CommandError(f"{name}: the key is refused. {checked.said}")
        self.stdout.write(f"{name}: {checked.verdict}. {checked.said}")

    def do_remove(self, actor: Actor, name: str, **options: Any) -> None:
        remove_model(actor, name)
        self.stdout.write(f"{name} was removed.")
