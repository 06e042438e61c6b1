"""The whole configuration as a file, over HTTP, and what comes in again of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from flows.access.rights import Right, require
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from orchestrator.transfer.importing import Brought, import_all, preview_import
from orchestrator.transfer.views import as_file

router = Router(tags=["installation"])

BYTES = {"schema": {"type": "string", "format": "binary"}}
ZIP = {"description": "The ZIP", "content": {"application/zip": BYTES}}
FILE = {
    "required": True,
    "description": "the ZIP of an export, or its catalogue.yaml alone",
    "content": {"application/octet-stream": BYTES},
}


class ItemShape(Schema):
    part: str = Field(description="flows, models, routes, tools, mcp, connections, teams, allowed_hosts or budgets")
    name: str
    state: Literal["new", "changed", "same", "left"]
    why: str = Field(description="of what is left: why it does not come in this way")


class BroughtShape(Schema):
    done: bool = Field(description="false: this is what would be done")
    items: list[ItemShape]
    changes: list[str]
    warnings: list[str]


@router.get("/export", openapi_extra={"responses": {200: ZIP}})
def get_export(request: HttpRequest) -> Any:
    """What this installation is configured with, as a ZIP of documents, without any secret. Needs the right `settings.manage`."""
    return as_file(actor_of(request))


@router.post(
    "/import", response={200: BroughtShape, 403: ProblemDocument, 422: ProblemDocument}, openapi_extra={"requestBody": FILE}
)
def post_import_all(
    request: HttpRequest, confirm: bool = Query(False, description="else it is only said what would be done")
) -> Any:
    """Takes in catalogue and flows of an export, all of it or nothing; flows come as drafts. Needs the right `settings.manage`."""
    actor = actor_of(request)
    require(actor, Right.MANAGE_SETTINGS)
    return brought_shape((import_all if confirm else preview_import)(actor, request.body), confirm)


def brought_shape(brought: Brought, done: bool) -> dict[str, Any]:
    """What came of an import, as `BroughtShape`."""
    items = [asdict(each) for each in brought.items]
    return {"done": done, "items": items, "changes": brought.changes, "warnings": brought.warnings}
