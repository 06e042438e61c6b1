"""``/flows/<slug>/versions/compare``: two documents of a flow beside each other; and going back from there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from flows.access.refusals import Conflict, Invalid
from flows.access.rights import Right, require
from flows.builder.actions.ask_to_publish import ask_to_publish
from flows.builder.actions.restore_draft import restore_draft
from flows.builder.actions.roll_back import roll_back
from flows.builder.comparing import Side, as_text, overlay, shown, side_of
from flows.builder.differences import differences
from flows.builder.files import keep_file
from flows.builder.pages.ground import heading
from flows.builder.pages.uploads import uploaded
from flows.builder.reads import flow_named, version_of
from flows.builder.wording import lines_apart
from flows.models import Flow

MODES = (("graph", "Graph"), ("text", "Text"))
MOST_VERSIONS = 200


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def comparison(request: Any, slug: str) -> HttpResponse:
    """`from` and `to` are `draft`, a version or a file that is kept; `mode` is graph or text; `moves` shows what only the canvas sees. A
    file that is sent is kept for comparing and becomes `to`; nothing of the flow is changed."""
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.SEE_FLOWS, flow)
    context = comparison_context(request, flow)
    if request.method != "POST":
        return render(request, "flows/comparison.html", context)
    try:
        name = keep_file(flow, uploaded(request))
    except Invalid as refusal:
        return render(request, "flows/comparison.html", context | {"refused": refusal.problems}, status=422)
    query = {"from": context["before"].name, "to": name, "mode": context["mode"]}
    return redirect(f"{request.path}?{urlencode(query)}")


def comparison_context(request: Any, flow: Flow) -> dict[str, Any]:
    query = request.GET
    live = f"v{flow.published.number}" if flow.published is not None else "draft"
    before, after = side_of(flow, query.get("from") or live), side_of(flow, query.get("to") or "draft")
    mode = query.get("mode") if query.get("mode") in dict(MODES) else "graph"
    context = heading(request.actor, flow, "versions") | {
        "before": before,
        "after": after,
        "mode": mode,
        "modes": MODES,
        "moves_shown": bool(query.get("moves")),
        "sides": [*_others(before, after), ("draft", "draft"), *((name, name) for name in _versions(flow))],
    }
    if before.document is None or after.document is None:
        return context | {"mode": "text", "unreadable": True, "rows": lines_apart(before.text, after.text)}
    found = differences(before.document, after.document)
    context |= {"found": found, "changes": shown(found), "text": as_text(found, before.label, after.label)}
    if mode == "text":
        return context | {"rows": lines_apart(before.text, after.text)}
    return context | {"overlay": overlay(before.document, after.document, found) if found else None}


def _others(*sides: Side) -> list[tuple[str, str]]:
    """Names and labels of what is compared, and is neither draft nor version."""
    return [(side.name, side.label) for side in sides if not side.is_draft and side.number is None]


def _versions(flow: Flow) -> list[str]:
    return [
        f"v{number}"
        for number in flow.versions.filter(number__isnull=False)
        .order_by("-number")
        .values_list("number", flat=True)[:MOST_VERSIONS]
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def rollback(request: Any, slug: str, number: int) -> HttpResponse:
    """Shows what going back to a version changes, and goes back by a new version."""
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.PUBLISH_FLOWS, flow)
    old = version_of(flow, number)
    context = heading(request.actor, flow, "versions") | {"old": old, "live": flow.published}
    if flow.published is not None:
        before, after = side_of(flow, f"v{flow.published.number}"), side_of(flow, f"v{number}")
        if before.document is not None and after.document is not None:
            found = differences(before.document, after.document)
            context |= {"found": found, "changes": shown(found)}
    if request.method != "POST":
        return render(request, "flows/rollback.html", context)
    seen = request.POST.get("live", "")
    try:
        if flow.needs_second:
            asked = ask_to_publish(request.actor, slug, version=number, note=request.POST.get("note", "") or f"Back to v{number}")
            return redirect("approval", asked.public_id)
        live = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else None
        version = roll_back(request.actor, slug, number, live=live, note=request.POST.get("note", ""))
    except (Conflict, Invalid) as refusal:
        return render(request, "flows/rollback.html", context | {"refused": refusal}, status=409)
    request.toast(f"v{version.number} is live; it equals v{number}.")
    return redirect(f"{reverse('flow', kwargs={'slug': slug})}?tab=versions")


@login_required
@require_POST
def restoration(request: Any, slug: str) -> HttpResponse:
    """Makes a version, or the draft that was replaced last, the draft."""
    wanted = request.POST.get("version", "")
    number = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10 else None
    seen = request.POST.get("revision", "")
    revision = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else None
    flow = restore_draft(request.actor, slug, number, revision=revision)
    kept = " The draft that it replaced is kept; bring it back from the list of versions." if flow.replaced_draft else ""
    request.toast((f"The draft is now v{number}." if number is not None else "The replaced draft is back.") + kept)
    return redirect(f"{reverse('flow', kwargs={'slug': slug})}?tab=versions")
