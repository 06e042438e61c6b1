"""What the pages of one flow share: its heading, its tabs, the way into the builder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from flows.access.actor import Actor
from flows.access.rights import Right
from flows.engine.problems import Problem
from flows.models import Flow

TABS = (
    ("overview", "Overview"),
    ("runs", "Runs"),
    ("versions", "Versions"),
    ("report", "Dependability"),
    ("triggers", "Triggers"),
    ("costs", "Costs"),
    ("settings", "Settings"),
)
STEP_IN_PATH = re.compile(r"(?:^|\.body\.)steps\.([a-z][a-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Told:
    """A problem as the pages show it: `goto` leads to its step in the builder."""

    place: str
    message: str
    mend: str
    goto: str


def heading(actor: Actor, flow: Flow, tab: str) -> dict[str, Any]:
    """The context of the heading and the tabs of a flow's pages."""
    address = reverse("flow", kwargs={"slug": flow.slug})
    team = flow.team_id
    published = flow.published
    sees_costs = actor.may(Right.SEE_COSTS, team)
    tabs = [(name, label) for name, label in TABS if name != "costs" or sees_costs]
    live = flow.archived_at is None
    return {
        "flow": flow,
        "published": published,
        "has_draft": published is not None and published.document != flow.draft,
        "tab": tab,
        "tabs": [{"label": label, "url": f"{address}?tab={name}", "current": name == tab, "count": None} for name, label in tabs],
        "sees_costs": sees_costs,
        "may_run": live and published is not None and flow.paused_at is None and actor.may(Right.START_RUNS, team),
        "may_edit": live and actor.may(Right.EDIT_FLOWS, team),
        "may_publish": live and actor.may(Right.PUBLISH_FLOWS, team),
        "may_pause": live and actor.may(Right.CONTROL_RUNS, team),
        "may_archive": actor.may(Right.PUBLISH_FLOWS, team),
        "may_manage": live and actor.may(Right.MANAGE_FLOWS, team),
    }


def edit_url(flow: Flow, step: str = "") -> str:
    """The flow in the builder, at a step where one is named (`rate/assess`)."""
    return f"/flows/{flow.slug}/edit" + (f"#step={step}" if step else "")


def step_of(path: str) -> str:
    """The step of a place in a document: `rate/assess` of `steps.rate.with.body.steps.assess.with.prompt`."""
    return "/".join(STEP_IN_PATH.findall(path))


def told(flow: Flow, problems: Iterable[Problem]) -> list[Told]:
    return [Told(each.path, each.message, each.mend, edit_url(flow, step_of(each.path))) for each in problems]
