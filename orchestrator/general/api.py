"""What the installation is called and reckons by, and whether its letters arrive, over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from flows.access.actions.change_installation import change_installation
from flows.access.installation import look_up
from flows.access.rights import Right, require
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from orchestrator.actions.try_mail import try_mail
from orchestrator.general.reads import version_of, zone_standing

router = Router(tags=["installation"])
REFUSALS = {403: ProblemDocument, 422: ProblemDocument}


class InstallationIn(Schema, extra="forbid"):
    name: str | None = Field(None, description="in titles, on the door, in letters; 60 characters")
    zone: str | None = Field(
        None, description="such as Europe/Madrid: of days, where no browser says another, and of new budgets"
    )
    currency: str | None = Field(None, description="up to 4 letters and signs before each amount; nothing is converted")
    reason: str = Field("", max_length=300)


class InstallationShape(Schema):
    name: str
    zone: str
    currency: str
    version: str
    summed_until: str | None = Field(description="days of `zone` before this one are read from sums, all others from the ledger")
    budgets_elsewhere: int = Field(description="budgets whose periods run in another zone")


class Tried(Schema):
    to: str
    taken: bool
    said: str = Field(description="what the mail server said where it did not take the letter")


@router.get("/installation", response={200: InstallationShape, 403: ProblemDocument})
def get_installation(request: HttpRequest) -> Any:
    """The general settings. Needs the right `settings.manage`."""
    require(actor_of(request), Right.MANAGE_SETTINGS)
    return _shape()


@router.patch("/installation", response={200: InstallationShape} | REFUSALS)
def patch_installation(request: HttpRequest, body: InstallationIn) -> Any:
    """Sets what the body names."""
    change_installation(actor_of(request), **body.dict())
    return _shape()


@router.post("/installation/mail-test", response={200: Tried} | REFUSALS)
def post_mail_test(request: HttpRequest) -> Any:
    """Sends a letter to your own address, to see whether letters arrive."""
    actor = actor_of(request)
    said = try_mail(actor)
    assert actor.person is not None, "every door of the API is a person's"
    return {"to": actor.person.email, "taken": not said, "said": said}


def _shape() -> dict[str, Any]:
    known = look_up()
    standing = zone_standing(known.zone)
    return {
        "name": known.name,
        "zone": known.zone,
        "currency": known.currency,
        "version": version_of(),
        "summed_until": standing.until.isoformat() if standing.until is not None else None,
        "budgets_elsewhere": standing.budgets_elsewhere,
    }
