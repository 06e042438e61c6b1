"""An open request and its docket, locked for an act on it."""

from __future__ import annotations

from approvals.models import Docket
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.requests import AlreadyDecided
from flows.models import Request


def locked_open(request: Request) -> tuple[Request, Docket]:
    """The request as it is now and its docket, locked until the transaction ends. Raises `AlreadyDecided`."""
    found = Request.objects.select_for_update(of=("self",)).select_related("run__flow__team", "flow__team", "decided_by")
    request = found.get(id=request.id)
    if request.state not in OPEN_REQUEST_STATES:
        raise AlreadyDecided(request)
    Docket.objects.bulk_create([Docket(request=request)], ignore_conflicts=True)
    return request, Docket.objects.select_for_update(of=("self",)).select_related("claimed_by", "assigned_to").get(
        request=request
    )
