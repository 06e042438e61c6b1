"""The pages of flows: the list, one flow, its document as a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.curl import curl
from flows.access.rights import Right, require
from flows.builder.actions.export_flow import export_flow
from flows.builder.checking import checked
from flows.builder.differences import Differences, differences
from flows.builder.listing import STATUSES, choices_of, page_of, wanted_of
from flows.builder.overview import (
    inputs_listed,
    read,
    recent_runs,
    runs_since,
    steps_listed,
    versions_of,
)
from flows.builder.pages.ground import heading, told
from flows.builder.pages.settings import settings_context
from flows.builder.reads import flow_named, version_of
from flows.costs.reports import Scope
from flows.costs.tables import table_of
from flows.engine.document import FlowDocument
from flows.engine.examples import example_of
from flows.models import Flow
from flows.models.identifiers import UnknownIdentifier, parsed

SHOWN_RUNS = {"overview": 5, "runs": 50}


@login_required
@require_safe
def flow_list(request: Any) -> HttpResponse:
    """The flows that one may see, fifty at a time, in the order that the address says."""
    context = list_context(request)
    name = "flows/_list.html" if request.GET.get("part") == "list" else "flows/list.html"
    return render(request, name, context)


def list_context(request: Any) -> dict[str, Any]:
    actor, wanted = request.actor, wanted_of(request.GET)
    rows, older = page_of(actor, wanted, timezone.now())
    query = request.GET.copy()
    query["part"] = "list"
    choices = choices_of(actor)
    fields = [
        {"name": "tag", "label": "Tag", "options": choices["tag"]},
        {"name": "owner", "label": "Owner", "options": choices["owner"]},
        {"name": "status", "label": "Status", "options": STATUSES},
    ]
    return {
        "rows": rows,
        "wanted": wanted,
        "fields": [each for each in fields if each["options"]],
        "sees_costs": actor.holdings.allow(Right.SEE_COSTS),
        "older": older,
        "rows_url": f"{request.path}?{query.urlencode()}",
        "may_edit": actor.holdings.allow(Right.EDIT_FLOWS),
    }


@login_required
@require_safe
def flow_page(request: Any, slug: str) -> HttpResponse:
    """One flow: what its document holds, its newest runs, its versions, how dependable it is, what it costs, what it is set to."""
    actor, flow = request.actor, flow_named(request.actor, slug)
    require(actor, Right.SEE_FLOWS, flow)
    context = heading(actor, flow, request.GET.get("tab", "overview"))
    names = [each["url"].rpartition("=")[2] for each in context["tabs"]]
    tab = context["tab"] if context["tab"] in names else "overview"
    context = heading(actor, flow, tab)
    if tab in SHOWN_RUNS:
        context |= runs_context(request, flow, tab)
    if request.GET.get("part") == "runs" and tab in SHOWN_RUNS:
        return render(request, "flows/_runs.html", context)
    document = read(flow.published.document if flow.published is not None else flow.draft)
    context["curl"] = curl_of(request, flow, document)
    if tab == "settings":
        context |= settings_context(actor, flow)
    elif tab in TAB_CONTEXTS:
        context |= TAB_CONTEXTS[tab](actor, flow, document)
    return render(request, "flows/detail.html", context)


def overview_context(actor: Actor, flow: Flow, document: FlowDocument | None) -> dict[str, Any]:
    here = checked(document, flow.slug, flow.team_id)
    return {
        "document": document,
        "problems": told(flow, here.problems),
        "warnings": told(flow, here.warnings),
        "report": here.report,
        "steps": steps_listed(document) if document is not None else [],
        "inputs": inputs_listed(document) if document is not None else [],
    }


def versions_context(actor: Actor, flow: Flow, document: FlowDocument | None) -> dict[str, Any]:
    return {"versions": versions_of(actor, flow), "found": unpublished(flow)}


def unpublished(flow: Flow) -> Differences | None:
    """What the draft changes; None where nothing is published, or one of them cannot be read."""
    draft, live = read(flow.draft), read(flow.published.document) if flow.published is not None else None
    return differences(live, draft) if draft is not None and live is not None else None


def report_context(actor: Actor, flow: Flow, document: FlowDocument | None) -> dict[str, Any]:
    """Of the draft where there is one: that is what can still be mended."""
    draft = checked(read(flow.draft), flow.slug, flow.team_id)
    return {
        "report": draft.report,
        "problems": told(flow, draft.problems),
        "of": "the draft" if flow.published is None or flow.draft != flow.published.document else f"v{flow.published.number}",
    }


def costs_context(actor: Actor, flow: Flow, document: FlowDocument | None) -> dict[str, Any]:
    """What its runs have cost, this month and all in all."""
    month = timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    periods = [("This month", month), ("All time", None)]
    tables = [(label, table_of(actor, Scope(since, flows=[flow.slug]), "flow")[1]) for label, since in periods]
    return {"spent": [(label, rows[0] if rows else None) for label, rows in tables]}


TAB_CONTEXTS: dict[str, Callable[[Actor, Flow, FlowDocument | None], dict[str, Any]]] = {
    "overview": overview_context,
    "versions": versions_context,
    "report": report_context,
    "costs": costs_context,
}


def curl_of(request: Any, flow: Flow, document: FlowDocument | None) -> str:
    """The command that starts a run over the API, with an input of the form that the flow asks for."""
    address = request.build_absolute_uri(reverse("api:post_run", kwargs={"slug": flow.slug}))
    return curl("POST", address, {"input": example_of(document.input if document is not None else None)})


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
