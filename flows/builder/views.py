"""The pages of flows: the list, one flow, its document as a file."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from flows.access.rights import Right, require
from flows.builder.actions.export_flow import export_flow
from flows.builder.overview import (
    PAGE,
    flows_listed,
    inputs_listed,
    problems_of,
    read,
    recent_runs,
    rows_of,
    runs_since,
    steps_listed,
    versions_of,
)
from flows.builder.reads import flow_named, version_of
from flows.models import Flow, FlowVersion
from flows.models.identifiers import UnknownIdentifier, parsed

TABS = (("overview", "Overview"), ("runs", "Runs"), ("versions", "Versions"))
SHOWN_RUNS = {"overview": 5, "runs": 50}


@login_required
@require_safe
def flow_list(request: Any) -> HttpResponse:
    """The flows that one may see, fifty at a time by name."""
    context = list_context(request)
    name = "flows/_list.html" if request.GET.get("part") == "list" else "flows/list.html"
    return render(request, name, context)


def list_context(request: Any) -> dict[str, Any]:
    actor = request.actor
    q, after = (request.GET.get(name, "").replace("\x00", "").strip()[:200] for name in ("q", "after"))
    flows = flows_listed(actor, q)
    rows = rows_of(actor, flows.filter(slug__gt=after) if after else flows, PAGE + 1, timezone.now())
    more = len(rows) > PAGE
    rows = rows[:PAGE]
    return {
        "rows": rows,
        "q": q,
        "sees_costs": any(row.sees_costs for row in rows),
        "older": rows[-1].flow.slug if more else "",
        "after": after,
        "may_edit": actor.holdings.allow(Right.EDIT_FLOWS) or bool(actor.holdings.teams(Right.EDIT_FLOWS)),
    }


@login_required
@require_safe
def flow_page(request: Any, slug: str) -> HttpResponse:
    """One flow: what its document holds, its newest runs, its versions."""
    actor, flow = request.actor, flow_named(request.actor, slug)
    require(actor, Right.SEE_FLOWS, flow)
    tab = request.GET.get("tab", "overview")
    tab = tab if tab in dict(TABS) else "overview"
    address = reverse("flow", kwargs={"slug": flow.slug})
    published: FlowVersion | None = flow.published
    context: dict[str, Any] = {
        "flow": flow,
        "published": published,
        "has_draft": published is not None and published.document != flow.draft,
        "tab": tab,
        "tabs": [{"label": label, "url": f"{address}?tab={name}", "current": name == tab, "count": None} for name, label in TABS],
        "may_run": published is not None and actor.may(Right.START_RUNS, flow.team_id),
        "sees_costs": actor.may(Right.SEE_COSTS, flow.team_id),
    }
    if tab in SHOWN_RUNS:
        context |= runs_context(request, flow, tab)
    if request.GET.get("part") == "runs" and tab in SHOWN_RUNS:
        return render(request, "flows/_runs.html", context)
    if tab == "versions":
        context["versions"] = versions_of(actor, flow)
    if tab == "overview":
        document = read(published.document if published is not None else flow.draft)
        problems, warnings = problems_of(document) if document is not None else ([], [])
        context |= {
            "document": document,
            "problems": problems,
            "warnings": warnings,
            "steps": steps_listed(document) if document is not None else [],
            "inputs": inputs_listed(document) if document is not None else [],
        }
    return render(request, "flows/detail.html", context)


def runs_context(request: Any, flow: Flow, tab: str) -> dict[str, Any]:
    """The newest runs. The page asks for the same ones again as they go on; those that are newer are only counted."""
    actor, newest = request.actor, run_id_of(request.GET.get("newest", ""))
    runs = recent_runs(actor, flow, SHOWN_RUNS[tab], newest)
    first = runs[0].public_id if runs else ""
    address = reverse("flow", kwargs={"slug": flow.slug})
    return {
        "runs": runs,
        "fresh": runs_since(actor, flow, newest) if newest is not None else 0,
        "runs_url": f"{address}?tab={tab}&part=runs&newest={first}",
        "again_url": f"{address}?tab={tab}",
    }


def run_id_of(text: str) -> UUID | None:
    try:
        return parsed("run", text) if text else None
    except UnknownIdentifier:
        return None


@login_required
@require_safe
def flow_export(request: Any, slug: str) -> HttpResponse:
    """The document as a file: a version by number, else the draft."""
    wanted = request.GET.get("version", "")
    number = int(wanted) if wanted.isdecimal() and len(wanted) < 10 else None
    flow = flow_named(request.actor, slug)
    if wanted and number is None:
        version_of(flow, 0)  # says that there is no such version
    text = export_flow(request.actor, slug, version=number)
    name = f"{flow.slug}.v{number}.yaml" if number is not None else f"{flow.slug}.yaml"
    return HttpResponse(
        text, "application/yaml; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
