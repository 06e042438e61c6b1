"""What the API takes and gives of flows."""

from __future__ import annotations

from typing import Any

from ninja import Schema
from pydantic import Field

from flows.api.shapes import Time
from flows.models import Flow, FlowVersion


class FlowSummary(Schema):
    slug: str
    name: str
    description: str
    team: str | None = Field(description="slug of the team that it belongs to; null: everybody's")
    revision: int = Field(description="of the draft; rises with every change")
    version: int | None = Field(description="number of the published version")
    changed_at: Time


class FlowDetail(FlowSummary):
    document: str = Field(description="the draft, or the version that was asked for, in canonical YAML")
    hash: str | None = Field(description="of the version that was asked for")


class FlowPage(Schema):
    items: list[FlowSummary]
    next: str | None


class SettingsIn(Schema, extra="forbid"):
    """What is left out stays as it is."""

    owner: str | None = None
    team: str | None = None
    tags: list[str] = []
    ceiling: dict[str, Any] = {}
    needs_second: bool = False
    max_running: int | None = None
    keeps_slot: bool = False
    priority: int = 0


class FlowSettings(Schema):
    owner: str | None = Field(description="username")
    team: str | None = Field(description="slug; null: everybody's")
    tags: list[str]
    ceiling: dict[str, Any] = Field(description="cost, tokens, steps, duration that no run may pass")
    needs_second: bool
    max_running: int | None = Field(description="runs of it that may be running at once; null: any number")
    keeps_slot: bool = Field(description="whether a run that waits counts among them")
    priority: int = Field(description="of its runs, -10 to 10, where their start does not say")


class PublicationIn(Schema, extra="forbid"):
    revision: int | None = Field(None, description="of the draft that was looked at; another one is not published")
    note: str = Field("", max_length=2000)


class Publication(Schema):
    flow: str
    version: int
    hash: str
    created_at: Time


class PublicationAsked(Schema):
    flow: str
    request: str = Field(description="the request that somebody else must approve")


class StandingIn(Schema, extra="forbid"):
    on: bool = True


class FlowStanding(Schema):
    flow: str
    paused_at: Time | None
    archived_at: Time | None


def flow_summary(flow: Flow) -> dict[str, Any]:
    return {
        "slug": flow.slug,
        "name": flow.name,
        "description": flow.description,
        "team": flow.team.slug if flow.team is not None else None,
        "revision": flow.revision,
        "version": flow.published.number if flow.published is not None else None,
        "changed_at": flow.changed_at,
    }


def flow_detail(flow: Flow, version: FlowVersion | None) -> dict[str, Any]:
    return flow_summary(flow) | {
        "document": flow.draft if version is None else version.document,
        "hash": None if version is None else version.hash,
    }


def flow_settings(flow: Flow) -> dict[str, Any]:
    return {
        "owner": flow.owner.username if flow.owner is not None else None,
        "team": flow.team.slug if flow.team is not None else None,
        "tags": flow.tags,
        "ceiling": flow.ceiling,
        "needs_second": flow.needs_second,
        "max_running": flow.max_running,
        "keeps_slot": flow.keeps_slot,
        "priority": flow.priority,
    }


def flow_standing(flow: Flow) -> dict[str, Any]:
    return {"flow": flow.slug, "paused_at": flow.paused_at, "archived_at": flow.archived_at}
