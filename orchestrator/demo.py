"""The demonstration: a cast of people named by their roles, the catalogue with simulated models, and the example flows. What it brings
is marked, so that it can be removed again; its runs come after it (`orchestrator/seeding/ui.py`)."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from django.db import transaction

from flows.access.actions.create_person import create_person
from flows.access.actions.create_team import create_team
from flows.access.actions.grant_role import grant_role
from flows.access.actor import system
from flows.access.audit import record_change
from flows.builder.actions.import_flow import import_flow
from flows.models import AllowedHost, Flow, ModelEntry, Person, Role, Route, Seeded, Team, ToolEntry
from orchestrator.actions.apply_catalogue import apply_catalogue
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import parse_catalogue
from orchestrator.seeding.marks import mark, mark_drafts, marked, unmark

HERE = Path(__file__).parent
RECEIVER = "127.0.0.1:9100"  # where the catalogues' files say the receiver is
TEAMS = {"finance": "Finance", "legal": "Legal"}
CAST: tuple[tuple[str, str, tuple[tuple[Role, str | None], ...]], ...] = (
    ("owner", "Owner", ((Role.OWNER, None),)),
    ("builder", "Builder", ((Role.BUILDER, None),)),
    ("operator", "Operator", ((Role.OPERATOR, None), (Role.APPROVER, None))),
    ("approver-1", "First approver", ((Role.APPROVER, "finance"),)),
    ("approver-2", "Second approver", ((Role.APPROVER, "finance"),)),
    ("approver-3", "Third approver", ((Role.APPROVER, "legal"),)),
    ("auditor", "Auditor", ((Role.AUDITOR, None),)),
    ("viewer", "Viewer", ((Role.VIEWER, None),)),
)
"""Usernames, names, and the roles that each holds in a team or everywhere."""

DEMO = system("demo", door="cli")


def seed(receiver_port: int, *, beside_people: bool = False) -> list[tuple[str, str]]:
    """Fills an empty installation; gives username and password of everybody who can sign in, to be shown once.

    Where there is already somebody it changes nothing and gives an empty list, unless the demonstration is wanted `beside_people`:
    then it leaves out whoever and whatever has a name of its cast already. `receiver_port` is where the demonstration's tools are
    reached. One transaction: a demonstration is there as a whole or not at all.
    """
    with transaction.atomic():
        if Person.objects.exists() and (not beside_people or Seeded.objects.exists()):
            return []
        signs = _people()
        bring_catalogue(HERE / "demo_catalogue.yaml", receiver_port)
        for file in sorted((HERE / "demo_flows").glob("*.yaml")):
            if not Flow.objects.filter(slug=file.stem).exists():
                flow, version = import_flow(DEMO, file.stem, file.read_text(encoding="utf-8"), publish=True)
                mark("flow", [flow.id])
                mark("version", [version.id] if version is not None else [])
        mark_drafts()
    return signs


def _people() -> list[tuple[str, str]]:
    """The teams and the cast, as far as their names are free."""
    known = set(Team.objects.values_list("slug", flat=True))
    mark("team", [create_team(DEMO, slug, name).slug for slug, name in TEAMS.items() if slug not in known])
    teams = {team.slug: team for team in Team.objects.filter(slug__in=TEAMS)}
    taken = set(Person.objects.values_list("username", flat=True))
    signs = []
    for username, name, roles in CAST:
        if username in taken:
            continue
        password = secrets.token_urlsafe(9)
        person = create_person(DEMO, username, password=password, name=name)
        for role, team in roles:
            grant_role(DEMO, person, role, teams[team] if team is not None else None)
        signs.append((username, password))
    mark("person", [username for username, _ in signs])
    return signs


def bring_catalogue(file: Path, receiver_port: int) -> None:
    """Applies a catalogue's document with the receiver's port in it, and marks what was not there before."""
    before = _named_in_catalogue()
    text = file.read_text(encoding="utf-8").replace(RECEIVER, _at(receiver_port))
    apply_catalogue(DEMO, parse_catalogue(text, {kind.slug: kind for kind in tool_kinds()}))
    for kind, names in _named_in_catalogue().items():
        mark(kind, names - before[kind])


def follow_receiver(port: int) -> None:
    """Points the demonstration's tools and models at its receiver, where that had to take another port than before. Who has the old
    one now is not reached any more."""
    here = _at(port)
    with transaction.atomic():
        for gone in marked("host") - {here}:
            for tool in ToolEntry.objects.select_for_update().filter(slug__in=marked("tool"), settings__icontains=gone):
                settings = json.loads(json.dumps(tool.settings).replace(gone, here))
                _change("tool", tool, "settings", settings)
            for model in ModelEntry.objects.select_for_update().filter(slug__in=marked("model"), api_base__contains=gone):
                _change("model", model, "api_base", model.api_base.replace(gone, here))
            AllowedHost.objects.filter(host=gone).delete()
            unmark("host", [gone])
            record_change(DEMO, "host.refuse", "host", gone)
            AllowedHost.objects.get_or_create(host=here)
            mark("host", [here])
            record_change(DEMO, "host.allow", "host", here)


def _change(kind: str, row: ToolEntry | ModelEntry, name: str, value: Any) -> None:
    record_change(DEMO, f"{kind}.change", kind, row.slug, {"from": {name: getattr(row, name)}, "to": {name: value}})
    setattr(row, name, value)
    row.save(update_fields=[name])


def _at(receiver_port: int) -> str:
    return f"127.0.0.1:{receiver_port}"


def _named_in_catalogue() -> dict[str, set[str]]:
    return {
        "model": set(ModelEntry.objects.values_list("slug", flat=True)),
        "route": set(Route.objects.values_list("slug", flat=True)),
        "tool": set(ToolEntry.objects.values_list("slug", flat=True)),
        "host": set(AllowedHost.objects.values_list("host", flat=True)),
    }
