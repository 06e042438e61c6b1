"""The tabs of `/settings`: those that this person may open."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from flows.access.actor import Actor
from flows.access.rights import Right

TABS = (
    ("settings-people", "People", Right.MANAGE_PEOPLE),
    ("settings-teams", "Teams", Right.MANAGE_PEOPLE),
    ("settings-roles", "Roles", None),
    ("settings-keys", "API keys", None),
    ("settings-sign-in", "Sign-in", Right.MANAGE_PEOPLE),
    ("settings-general", "General", Right.MANAGE_SETTINGS),
    ("approval-channels", "Notifications", Right.MANAGE_POLICIES),
    ("settings-retention", "Retention", Right.MANAGE_SETTINGS),
    ("settings-demonstration", "Demonstration", Right.MANAGE_SETTINGS),
    ("settings-health", "Health", Right.MANAGE_SETTINGS),
    ("settings-data", "Data", Right.MANAGE_SETTINGS),
)


def tabs_for(actor: Actor, current: str) -> list[dict[str, Any]]:
    return [
        {"label": label, "url": reverse(name), "current": name == current, "count": None}
        for name, label, right in TABS
        if right is None or actor.may(right)
    ]
