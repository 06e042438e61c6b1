"""The demonstration: a cast of people named by their roles, the catalogue with simulated models, and the example flows."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.db import transaction

from flows.access.actions.create_person import create_person
from flows.access.actions.create_team import create_team
from flows.access.actions.grant_role import grant_role
from flows.access.actor import system
from flows.builder.actions.import_flow import import_flow
from flows.models import Person, Role
from orchestrator.actions.apply_catalogue import apply_catalogue
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import parse_catalogue

HERE = Path(__file__).parent
RECEIVER = "127.0.0.1:9100"  # where the catalogue's file says the receiver is
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


def seed(receiver_port: int) -> list[tuple[str, str]]:
    """Fills an empty installation; gives username and password of everybody who can sign in, to be shown once.

    Where there is already somebody it changes nothing and gives an empty list. `receiver_port` is where the demonstration's tools
    are reached. One transaction: a demonstration is there as a whole or not at all.
    """
    with transaction.atomic():
        if Person.objects.exists():
            return []
        teams = {slug: create_team(DEMO, slug, name) for slug, name in TEAMS.items()}
        signs = []
        for username, name, roles in CAST:
            password = secrets.token_urlsafe(9)
            person = create_person(DEMO, username, password=password, name=name)
            for role, team in roles:
                grant_role(DEMO, person, role, teams[team] if team is not None else None)
            signs.append((username, password))
        text = (HERE / "demo_catalogue.yaml").read_text(encoding="utf-8").replace(RECEIVER, f"127.0.0.1:{receiver_port}")
        apply_catalogue(DEMO, parse_catalogue(text, {kind.slug: kind for kind in tool_kinds()}))
        for file in sorted((HERE / "demo_flows").glob("*.yaml")):
            import_flow(DEMO, file.stem, file.read_text(encoding="utf-8"), publish=True)
    return signs
