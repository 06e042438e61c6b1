"""The audit log over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from flows.access.rights import Right, require
from flows.access.sealing import verify
from flows.api.auth import actor_of
from flows.api.problems import ProblemDocument
from flows.api.shapes import Time
from flows.models import AuditRow
from orchestrator.auditing.reads import audit_rows, page_of, wanted_of

router = Router(tags=["audit"])


class AuditShape(Schema):
    id: int
    at: Time
    actor: str
    key: str | None = Field(description="how the key begins by which it was done")
    door: str = Field(description="page, api, cli, worker or trigger")
    address: str = Field(description="of the network, from which it was asked")
    request: str = Field(description="the number that error pages and log lines name, too")
    action: str
    object_kind: str
    object: str
    data: dict[str, Any]


class AuditPage(Schema):
    items: list[AuditShape]
    next: str | None = Field(description="`before` of the next page")


class ChainShape(Schema):
    sealed: int
    unsealed: int
    head: str
    until: Time | None
    broken: str = Field(description="what is wrong first; empty where the chain is whole")
    row: int | None


@router.get("/audit", response={200: AuditPage, 403: ProblemDocument})
def list_audit(
    request: HttpRequest,
    actor: str = Query(""),
    action: str = Query("", description="with all that begin like it"),
    object: str = Query("", description="an object or its kind"),  # noqa: A002 - as in the page's address
    door: str = Query(""),
    number: str = Query("", alias="request", description="the number of a request"),
    first: str = Query("", alias="from", description="a day, UTC"),
    last: str = Query("", alias="to", description="a day, UTC"),
    before: str = Query(""),
) -> Any:
    """The rows that match, the newest first, 50 a page. Needs the right `audit.see`."""
    named = {"actor": actor, "action": action, "object": object, "door": door, "request": number}
    wanted = wanted_of(named | {"from": first, "to": last, "before": before})
    rows, older = page_of(audit_rows(actor_of(request), wanted), wanted)
    return {"items": [audit_shape(row) for row in rows], "next": str(older) if older is not None else None}


@router.get("/audit/verification", response={200: ChainShape, 403: ProblemDocument})
def get_verification(request: HttpRequest) -> Any:
    """Follows the whole chain anew, and says where it breaks, if it does."""
    require(actor_of(request), Right.SEE_AUDIT)
    return verify()


def audit_shape(row: AuditRow) -> dict[str, Any]:
    """A row as files and answers have it."""
    return {
        "at": row.at,
        "actor": row.actor_name,
        "key": row.key.hint if row.key is not None else None,
        "door": row.door,
        "address": row.address,
        "request": row.request,
        "action": row.action,
        "object_kind": row.subject_kind,
        "object": row.subject,
        "data": row.data,
        "id": row.id,
    }
