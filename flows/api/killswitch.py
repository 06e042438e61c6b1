"""The kill switch over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from flows.access.rights import Right, require_scope
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time
from flows.execution.killswitch import the_switch
from flows.models import KillSwitch
from flows.runs.actions.throw_switch import LONGEST_REASON, throw_switch

router = Router(tags=["kill switch"])


class SwitchIn(Schema, extra="forbid"):
    on: bool
    reason: str = Field("", max_length=LONGEST_REASON, description="needed to throw it; everybody reads it on every page")


class SwitchShape(Schema):
    on: bool
    reason: str
    by: str | None
    at: Time | None = Field(description="when it was thrown or released")


@router.get("/killswitch", response={200: SwitchShape})
def get_killswitch(request: HttpRequest) -> Any:
    """Whether effects may begin, and who said so, when and why."""
    require_scope(actor_of(request), Right.SEE_RUNS)
    return _shape(the_switch())


@router.post("/killswitch", response={200: SwitchShape, 403: ProblemDocument, 422: ProblemDocument})
def post_killswitch(request: HttpRequest, body: SwitchIn) -> Any:
    """Stops every new effect at once, or lets them begin again. Needs the right `killswitch.throw`."""
    return _shape(throw_switch(actor_of(request), body.on, body.reason))


def _shape(switch: KillSwitch) -> dict[str, Any]:
    thrown = bool(switch.by_name)
    return {
        "on": switch.is_on,
        "reason": switch.reason,
        "by": switch.by_name or None,
        "at": switch.at if thrown else None,
    }
