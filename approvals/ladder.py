"""The rungs of a policy's ladder: reminding, and handing a request up. The last one, a rejection, is its deadline."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from approvals.models import Docket
from approvals.notices.notify import tell_about
from approvals.notices.receivers import deciders_of
from approvals.notices.wording import facts_of, subject_of
from approvals.rules import addressed
from approvals.taking_up import next_rung
from approvals.trail import record
from flows.access.actor import system
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run
from flows.models import Request, Run

log = logging.getLogger(__name__)

LADDER = system("ladder")


def climb_due(limit: int = 200) -> int:
    """Carries out the rungs that are due, each once and in a transaction of its own; gives how many. The reconciler calls it."""
    due = Docket.objects.filter(next_at__lte=Now()).order_by("next_at").values_list("request_id", flat=True)
    climbed = 0
    for request_id in list(due[:limit]):
        try:
            climbed += _climb(request_id)
        except Exception:
            log.exception("the ladder of request %s could not be climbed", request_id)
    return climbed


def _climb(request_id: UUID) -> bool:
    with transaction.atomic():
        run_id = Request.objects.values_list("run_id", flat=True).get(id=request_id)
        run = lock_run(run_id) if run_id is not None else None
        found = Request.objects.select_for_update(of=("self",)).select_related("run__flow__team", "flow__team", "run__started_by")
        request = found.get(id=request_id)
        docket = Docket.objects.select_for_update(of=("self",)).get(request=request)
        if request.state not in OPEN_REQUEST_STATES:
            Docket.objects.filter(request=request).update(next_at=None)
            return False
        rung: dict[str, Any] = request.terms["ladder"][docket.rung]
        if rung["act"] == "escalate":
            _hand_up(request, run, rung)
        record(LADDER, "escalate" if rung["act"] == "escalate" else "remind", request, rung=docket.rung + 1, to=_names(rung))
        _tell(request, docket.rung, rung)
        behind = docket.rung + 1
        Docket.objects.filter(request=request).update(rung=behind, next_at=next_rung(request, behind))
        transaction.on_commit(inbox_changed)
    return True


def _hand_up(request: Request, run: Run | None, rung: dict[str, Any]) -> None:
    """Those above may decide, too; what was assigned to one person is everybody's again."""
    people, teams = addressed(request)
    approvers = {
        "people": _joined(people, rung["people"]),
        "teams": teams if request.terms.get("each_team") else _joined(teams, rung["teams"]),
    }
    request.terms = request.terms | {"approvers": approvers, "handed_up": _names(rung)}
    Request.objects.filter(id=request.id).update(terms=request.terms)
    Docket.objects.filter(request=request).update(assigned_to=None)
    if run is not None:
        append_event(run, "request.escalated", request.path, {"request": request.public_id, "to": _names(rung)})
        announce(run)


def _tell(request: Request, at: int, rung: dict[str, Any]) -> None:
    escalated = rung["act"] == "escalate"
    subject = subject_of(request, "Handed up to you" if escalated else "Still open")
    event, key = "escalated" if escalated else "reminded", f"rung:{request.id.hex}:{at}"
    tell_about(request, event, key, subject, people=deciders_of(request), facts=facts_of(request))


def _joined(some: list[str], others: list[str]) -> list[str]:
    return list(dict.fromkeys([*some, *others]))


def _names(rung: dict[str, Any]) -> list[str]:
    return [*rung.get("people", []), *rung.get("teams", [])]
