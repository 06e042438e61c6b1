"""The demonstration over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from flows.access.rights import Right, require
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from orchestrator.demonstration.states import standing
from orchestrator.seeding.leaving import Leaving
from orchestrator.seeding.removal import preview_removal, remove_demonstration

router = Router(tags=["demonstration"])


class Stays(Schema):
    what: str
    why: str


class LeavingShape(Schema):
    gone: dict[str, int] = Field(description="how many of each kind")
    stays: list[Stays] = Field(description="what people use, and why it stays")


class DemonstrationShape(Schema):
    state: str = Field(description="none, filling, failed or there")
    what: str = Field(description="that is being made")
    done: int
    wanted: int
    error: str
    removal: LeavingShape = Field(description="what removing it would take away now")


@router.get("/demonstration", response={200: DemonstrationShape, 403: ProblemDocument})
def get_demonstration(request: HttpRequest) -> Any:
    """How the demonstration stands. Needs the right `settings.manage`."""
    actor = actor_of(request)
    require(actor, Right.MANAGE_SETTINGS)
    here = standing()
    facts = {"state": here.state, "what": here.what, "done": here.done, "wanted": here.wanted, "error": here.error}
    return {**facts, "removal": _shape(preview_removal(actor))}


@router.delete("/demonstration", response={200: LeavingShape, 403: ProblemDocument})
def delete_demonstration(request: HttpRequest) -> Any:
    """Removes what the demonstration brought, and nothing that people made; gives what went and what stays."""
    return _shape(remove_demonstration(actor_of(request)))


def _shape(found: Leaving) -> dict[str, Any]:
    gone = {kind: len(keys) for kind, keys in found.going.items() if keys}
    return {"gone": gone, "stays": [{"what": what, "why": why} for what, why in found.staying]}
