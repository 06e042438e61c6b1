"""Takes up what was asked: gives each new request its docket, its ladder and its place in the audit log, and tells who may decide."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from approvals.models import Docket
from approvals.notices.notify import tell_about
from approvals.notices.receivers import deciders_of
from approvals.notices.wording import facts_of, subject_of
from approvals.trail import record
from flows.access.actor import system
from flows.engine.states import OPEN_REQUEST_STATES
from flows.models import Request

log = logging.getLogger(__name__)

APPROVALS = system("approvals")


def take_up_new(limit: int = 200) -> int:
    """Takes up the open requests that have not been; gives how many. The reconciler calls it, so each waits a few seconds at most."""
    fresh = Q(docket__isnull=True) | Q(docket__taken_up_at__isnull=True)
    open_ones = Request.objects.filter(state__in=sorted(OPEN_REQUEST_STATES))
    taken = 0
    for request_id in open_ones.filter(fresh).exclude(kind="test").order_by("id").values_list("id", flat=True)[:limit]:
        one = open_ones.filter(id=request_id).select_related("run__flow__team", "flow__team", "run__started_by")
        try:
            with transaction.atomic():
                taken += any(map(take_up, one.select_for_update(of=("self",))))
        except Exception:
            log.exception("request %s could not be taken up", request_id)
    return taken


def take_up(request: Request) -> bool:
    """Takes up an open request whose row the caller has locked; gives whether nobody had. Who decides before the reconciler has looked
    takes it up first, so that the audit log has the question before the answer. A builder's test asks nobody else."""
    if request.kind == "test":
        return False
    Docket.objects.bulk_create([Docket(request=request)], ignore_conflicts=True)
    docket = Docket.objects.select_for_update(of=("self",)).get(request=request)
    if docket.taken_up_at is not None:
        return False
    Docket.objects.filter(request=request).update(taken_up_at=Now(), next_at=next_rung(request, 0))
    record(APPROVALS, "request", request, kind=request.kind, title=request.title, approvers=request.terms.get("approvers"))
    key, people = f"asked:{request.id.hex}", deciders_of(request)
    tell_about(request, "asked", key, subject_of(request), people=people, facts=facts_of(request))
    return True


def next_rung(request: Request, behind: int) -> datetime | None:
    """When the rung after so many is due; None where there is none but the deadline itself."""
    ladder: list[dict[str, Any]] = request.terms.get("ladder") or []
    if behind >= len(ladder) or ladder[behind]["act"] == "reject":
        return None
    return request.created_at + timedelta(seconds=float(ladder[behind]["after"]))
