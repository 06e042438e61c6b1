"""``/audit``: who changed what, when, by which door. It shows and exports; nothing here changes a row."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST, require_safe

from flows.access.actor import Actor
from flows.access.refusals import NotFound
from flows.access.rights import Right, require
from flows.access.sealing import sealed_until, verify
from flows.models import AuditRow
from flows.runs.actions.keep_view import views_of
from flows.runs.pages.views import kept_or_dropped
from orchestrator.auditing.exports import FORMS, export_audit
from orchestrator.auditing.reads import audit_rows, page_of, wanted_of

PAGES = {
    "flow": "/flows/",
    "run": "/runs/",
    "request": "/approvals/",
    "trigger": "/triggers/",
    "policy": "/approvals/policies/",
    "tool": "/tools/",
    "route": "/routes/",
    "memory": "/memory/",
}
"""Where the objects of a kind have their page, by the name that the log knows them by; all who may see the log may see these."""
DOORS = ("page", "api", "cli", "trigger", "worker")


@login_required
@require_safe
def audit_page(request: Any) -> HttpResponse:
    """The log, narrowed as the address says."""
    return _page(request)


@login_required
@require_POST
def views(request: Any) -> HttpResponse:
    """Keeps the choices of the log under a name, or throws a view away."""
    require(request.actor, Right.SEE_AUDIT)
    return kept_or_dropped(request, "audit")


@login_required
@require_POST
def verification(request: Any) -> HttpResponse:
    """Follows the chain, and says on the page whether it holds."""
    require(request.actor, Right.SEE_AUDIT)
    return _page(request, {"chain": verify()})


@login_required
@require_GET
def export(request: Any, form: str) -> HttpResponseBase:
    """The same rows as a file, ``csv`` or ``jsonl``, at most 100,000. Exporting is recorded, too."""
    if form not in FORMS:
        raise NotFound(f"export as {form[:20]!r}")
    lines = export_audit(request.actor, wanted_of(request.GET), form)
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
    headers = {"Content-Disposition": f'attachment; filename="audit.{form}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(lines, content_type=kind, headers=headers)


def _page(request: Any, more: dict[str, Any] | None = None) -> HttpResponse:
    wanted = wanted_of(request.GET)
    rows, older = page_of(audit_rows(request.actor, wanted), wanted)
    query = request.GET.copy()
    for name in [name for name, value in query.items() if not value or name == "before"]:
        query.pop(name)
    context = {
        "rows": [
            (row, _address(request.actor, row), json.dumps(row.data, ensure_ascii=False, indent=2) if row.data else "")
            for row in rows
        ],
        "wanted": wanted,
        "doors": DOORS,
        "until": sealed_until(),
        "query": query.urlencode(safe=",:!@"),
        "views": views_of(request.actor, "audit"),
        "older": f"?{query.urlencode()}&before={older}" if older is not None else "",
    }
    return render(request, "audit/list.html", context | (more or {}))


def _address(actor: Actor, row: AuditRow) -> str:
    if row.subject_kind == "person" and actor.may(Right.MANAGE_PEOPLE):
        return f"/settings/people/{row.subject}"
    return f"{PAGES[row.subject_kind]}{row.subject}" if row.subject_kind in PAGES else ""
