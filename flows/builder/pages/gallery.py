"""``/templates``: flows to begin with."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.builder.actions.create_flow import create_flow
from flows.builder.actions.make_companions import make_bases, make_companions
from flows.builder.actions.save_draft import DraftChanged, save_draft
from flows.builder.catalogue import bases_of, current
from flows.builder.checking import checked
from flows.builder.overview import inputs_listed, steps_listed
from flows.builder.pages.ground import edit_url
from flows.builder.pages.making import require_some_edit, revision_in, team_of, teams_for
from flows.builder.reads import flow_named
from flows.builder.subflows import known_flows
from flows.builder.templates import (
    Template,
    bases_needed,
    current_prices,
    estimate,
    fitted,
    flows_needed,
    routes_needed,
    template_named,
    templates,
    tools_needed,
)
from flows.engine.document import dump_document, parse_document
from flows.engine.drawing import drawn
from flows.models import Flow, Team
from flows.retrieval.actions.create_base import BaseExists


@login_required
@require_safe
def gallery(request: Any) -> HttpResponse:
    """The templates as cards; `tag` and `q` narrow them, `needs=none` to those that can be used as they are."""
    query = request.GET
    q, needs = query.get("q", "").strip().lower()[:200], query.get("needs") == "none"
    tags = [tag for tag in ",".join(query.getlist("tag")).split(",") if tag]
    known, prices, inner = current(None, None), current_prices(), published_flows()
    searched = open_bases()
    cards = []
    for each in templates():
        words = f"{each.title} {each.shows} {' '.join(each.tags)}".lower()
        missing = [name for name in each.routes if name not in known.ground.routes and name not in known.ground.models]
        missing += [name for name in each.tools if name not in known.ground.tools]
        missing += [need.name for need in flows_needed(each, inner) if not need.there]
        missing += [need.name for need in bases_needed(each, searched) if not need.there]
        if not set(tags).issubset(each.tags) or q not in words or (needs and missing):
            continue
        cards.append(card_of(each, prices, missing))
    all_tags = sorted({tag for each in templates() for tag in each.tags})
    context = {
        "cards": cards,
        "fields": [
            {"name": "tag", "label": "Tag", "options": [(tag, tag) for tag in all_tags]},
            {"name": "needs", "label": "Needs", "options": [("none", "nothing that is missing")], "many": False},
        ],
        "may_edit": request.actor.holdings.allow(Right.EDIT_FLOWS),
        "known": ("flow",),
        "flow": filled_flow(request),
    }
    return render(request, "flows/templates.html", context)


def filled_flow(request: Any) -> Flow | None:
    """The flow whose draft the template is to fill; None where it becomes a flow of its own. Raises `Forbidden`, `NotFound`."""
    slug = request.POST.get("flow") or request.GET.get("flow", "")
    if not slug:
        return None
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.EDIT_FLOWS, flow)
    return flow


def published_flows() -> list[str]:
    """The names of the flows that every flow may run."""
    return [slug for slug, each in known_flows(set(), None).items() if each.published]


def card_of(template: Template, prices: Any, missing: list[str]) -> dict[str, Any]:
    simulated = next((prices.rows[slug] for slug in sorted(prices.simulated) if slug in prices.rows), None)
    real = prices.real
    return {
        "template": template,
        "drawing": drawn(template.document.model_copy(update={"layout": {}})) if template.document is not None else None,
        "missing": missing,
        "simulated": estimate(template, simulated),
        "real": real,
        "real_cost": estimate(template, prices.rows[real]) if real is not None else None,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def template_page(request: Any, template: str) -> HttpResponse:
    """One template: its drawing, steps, what it needs, how dependable it is; sent, a draft is made of it."""
    found = template_named(template)
    if found is None:
        raise NotFound("template of this name")
    known, prices = current(None, None), current_prices()
    routes, tools = routes_needed(found, known.ground, prices.simulated), tools_needed(found, known.ground)
    flows = flows_needed(found, published_flows())
    bases = bases_needed(found, open_bases())
    missing = [each.name for each in (*routes, *tools, *flows, *bases) if not each.there]
    may_edit = request.actor.holdings.allow(Right.EDIT_FLOWS)
    flow = filled_flow(request)
    context = card_of(found, prices, missing) | {
        "flow": flow,
        "routes": routes,
        "tools": tools,
        "flows": flows,
        "bases": bases,
        "may_edit": may_edit,
        "teams": teams_for(request.actor) if may_edit else [],
        "everywhere": Right.EDIT_FLOWS in request.actor.holdings.everywhere,
        "steps": steps_listed(found.document) if found.document is not None else [],
        "inputs": inputs_listed(found.document) if found.document is not None else [],
        "no_models": any(not each.chosen for each in routes),
    }
    there = frozenset(Team.objects.values_list("slug", flat=True))
    stands_for = {
        kind: {each.name: request.POST.get(f"{kind}-{each.name}", each.chosen) for each in needs}
        for kind, needs in (("route", routes), ("tool", tools), ("flow", flows), ("base", bases))
    }
    if request.method != "POST":
        if found.document is not None:
            context["report"] = checked(
                parse_document(fitted(found, stands_for["route"], stands_for["tool"], there)), "", None
            ).report
        return render(request, "flows/template.html", context)
    require_some_edit(request.actor)
    try:
        if found.document is None:
            raise Invalid("This template cannot be used.", problems=[Fault(found.slug, found.fault)])
        with transaction.atomic():
            team = flow.team if flow is not None else team_of(request.actor, request.POST.get("team", ""))
            inner = make_companions(request.actor, stands_for["flow"], team, there)
            searched = make_bases(request.actor, stands_for["base"], team)
            text = fitted(found, stands_for["route"], stands_for["tool"], there, inner, searched)
            if flow is None:
                flow = create_flow(request.actor, request.POST.get("name", ""), text=text, team=team)
            else:
                text = dump_document(parse_document(text).model_copy(update={"name": flow.name}))
                flow = save_draft(request.actor, flow.slug, text, revision_in(request), runnable=False)
    except (Invalid, BaseExists, DraftChanged) as refusal:
        problems = refusal.problems or [Fault("draft", refusal.message)]
        return render(request, "flows/template.html", context | {"problems": problems}, status=422)
    request.toast(f"{flow.name} is a draft now. Try it, then publish it.")
    return redirect(edit_url(flow))


def open_bases() -> list[str]:
    """The knowledge bases that everybody's flows may search, by name."""
    return list(bases_of(None).order_by("slug").values_list("slug", flat=True))
