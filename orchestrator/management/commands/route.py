"""Routes of the catalogue from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.access.actor import Actor
from flows.api.catalogue import (
    RouteShape,
    RoutesShape,
    VersionsShape,
    require_sight,
    route_shape,
    stored_route,
    version_shape,
)
from flows.models import Route
from flows.routing.entries import RoutePart
from flows.runs.actions.put_route import put_route, remove_route, roll_back_route
from flows.runs.actions.try_route import try_route
from flows.runs.catalogue.versions import compared, versions_of
from orchestrator.management.parts import part_in
from orchestrator.management.speaking import amount_given
from orchestrator.management.verbs import VerbCommand


class Command(VerbCommand):
    help = "List, show, make, change, try and remove the routes that steps ask, and go back to what they were."

    def add_verbs(self) -> None:
        self.verb("list", "all routes with whom they ask", shows=True)
        self.verb("show", "one route, as the API answers it").add_argument("name")
        put = self.verb("put", "make the route, or a new version of it that a file says (YAML or JSON)")
        put.add_argument("name")
        put.add_argument("file", type=Path)
        self.verb("versions", "what it was, the newest first", shows=True).add_argument("name")
        compare = self.verb("compare", "the fields in which two versions differ, by default the newest and the one before it")
        compare.add_argument("name")
        compare.add_argument("--before", type=int, metavar="VERSION")
        compare.add_argument("--after", type=int, metavar="VERSION")
        back = self.verb("rollback", "a new version that equals an older one")
        back.add_argument("name")
        back.add_argument("number", type=int, metavar="VERSION")
        tried = self.verb("try", "ask it one prompt, as a run marked as a test")
        tried.add_argument("name")
        tried.add_argument("prompt")
        tried.add_argument("--ceiling", help="dollars that it may cost at most")
        tried.add_argument("--simulate", action="store_true", help="by simulated models, at no cost")
        self.verb("remove", "take it out of the catalogue; refused while a published flow asks it").add_argument("name")

    def do_list(self, actor: Actor, json: bool, **options: Any) -> None:
        require_sight(actor)
        found = list(Route.objects.order_by("slug"))
        if json:
            self.write_json(RoutesShape, {"items": [route_shape(each) for each in found]})
            return
        for each in found:
            asked = ", ".join(one if isinstance(one, str) else one["model"] for one in each.candidates)
            self.stdout.write(f"{each.slug} v{each.version} ({each.strategy}): {asked or 'nobody'}")

    def do_show(self, actor: Actor, name: str, **options: Any) -> None:
        require_sight(actor)
        self.write_json(RouteShape, route_shape(stored_route(name)))

    def do_versions(self, actor: Actor, name: str, json: bool, **options: Any) -> None:
        require_sight(actor)
        found = versions_of(stored_route(name).slug)
        if json:
            self.write_json(VersionsShape, {"items": [version_shape(each) for each in found]})
            return
        for each in found:
            self.stdout.write(f"v{each.number}: {each.created_at:%Y-%m-%d %H:%M}Z by {each.by or 'the system'}")

    def do_compare(self, actor: Actor, name: str, before: int | None, after: int | None, **options: Any) -> None:
        require_sight(actor)
        found = compared(stored_route(name).slug, before, after)
        for each in found.changes:
            self.stdout.write(f"{each.change} {each.name}: {each.before} -> {each.after}")
        self.stdout.write(f"{len(found.changes)} differences between v{found.before.number} and v{found.after.number}.")

    def do_put(self, actor: Actor, name: str, file: Path, **options: Any) -> None:
        put = put_route(actor, name, part_in(file, RoutePart, "route"))
        self.stdout.write("\n".join(put.changes) or f"{name}: nothing to change.")

    def do_rollback(self, actor: Actor, name: str, number: int, **options: Any) -> None:
        put = roll_back_route(actor, name, number)
        self.stdout.write(f"{name}: v{put.entry.version}, which equals v{number}")

    def do_try(self, actor: Actor, name: str, prompt: str, ceiling: str | None, simulate: bool, **options: Any) -> None:
        most = amount_given("--ceiling", ceiling) if ceiling is not None else None
        run = try_route(actor, name, prompt, ceiling=most, simulate=simulate, source="cli")
        self.stdout.write(f"{run.public_id}: {run.status}")

    def do_remove(self, actor: Actor, name: str, **options: Any) -> None:
        remove_route(actor, name)
        self.stdout.write(f"{name} was removed.")
