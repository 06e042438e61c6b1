"""Teams from the command line."""

from __future__ import annotations

from typing import Any

from approvals.actions.remove_team import remove_team
from flows.access.actions.create_team import create_team
from flows.access.actor import Actor
from flows.access.rights import Right, require
from orchestrator.management.verbs import VerbCommand
from orchestrator.people.api import TeamList, team_shape
from orchestrator.people.reads import team_named, teams_listed


class Command(VerbCommand):
    help = "List, add and remove teams; `person grant` puts people into them."

    def add_verbs(self) -> None:
        self.verb("list", "all teams with their people", shows=True)
        add = self.verb("add", "a team without people")
        add.add_argument("slug")
        add.add_argument("--name", default="", help="as pages show it; the slug where nothing is said")
        remove = self.verb("remove", "a team; where something still names it, what that is")
        remove.add_argument("slug")
        remove.add_argument("--to", help="the team that gets its flows; everybody, where none is named")

    def do_list(self, actor: Actor, json: bool, **options: Any) -> None:
        found = teams_listed(actor)
        if json:
            self.write_json(TeamList, {"items": [team_shape(each) for each in found]})
            return
        for team in found:
            held = ", ".join(f"{each.person.username} ({each.role})" for each in team.memberships.all())
            self.stdout.write(f"{team.slug}: {held or 'nobody'}")

    def do_add(self, actor: Actor, slug: str, name: str, **options: Any) -> None:
        self.stdout.write(f"{create_team(actor, slug, name).slug} was added.")

    def do_remove(self, actor: Actor, slug: str, to: str | None, **options: Any) -> None:
        require(actor, Right.MANAGE_PEOPLE)
        gone = remove_team(actor, team_named(slug), team_named(to) if to is not None else None)
        self.stdout.write(f"{slug} was removed; {', '.join(f'{number} {what}' for what, number in gone.items())}.")
