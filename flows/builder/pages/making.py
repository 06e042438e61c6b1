"""New flows: blank, from a file, as a copy; and acts on several flows at once."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import Fault, Forbidden, Invalid, Refusal
from flows.access.rights import Right, require
from flows.builder.actions.change_settings import change_settings
from flows.builder.actions.create_flow import create_flow
from flows.builder.actions.pause_flow import pause_flow
from flows.builder.actions.save_draft import DraftChanged, save_draft
from flows.builder.checking import DocumentRefused, checked, faults, read_document
from flows.builder.comparing import as_text, shown
from flows.builder.differences import differences
from flows.builder.files import file_named
from flows.builder.overview import read
from flows.builder.pages.ground import edit_url
from flows.builder.pages.uploads import LARGEST_FILE, uploaded
from flows.builder.reads import flow_named, visible_flow
from flows.builder.starters import starters_of
from flows.engine.document import dump_document
from flows.models import Flow, Team

MOST_AT_ONCE = 200


def require_some_edit(actor: Actor) -> None:
    """Passes who may make flows at all. Raises `Forbidden`."""
    if not actor.holdings.allow(Right.EDIT_FLOWS):
        raise Forbidden(Right.EDIT_FLOWS)


def team_of(actor: Actor, slug: str) -> Team | None:
    return Team.objects.filter(slug=slug).first() if slug else None


def teams_for(actor: Actor) -> list[Team]:
    """The teams that a new flow of this person's can belong to; none where it need not be asked."""
    if Right.EDIT_FLOWS in actor.holdings.everywhere:
        return list(Team.objects.order_by("name"))
    teams = actor.holdings.teams(Right.EDIT_FLOWS)
    return list(Team.objects.filter(id__in=teams).order_by("name")) if len(teams) > 1 else []


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_flow(request: Any) -> HttpResponse:
    """A new flow, blank or as a copy of `copy`; opens it in the builder."""
    actor = request.actor
    require_some_edit(actor)
    source = visible_flow(actor, request.POST.get("copy") or request.GET.get("copy", ""))
    context = {
        "source": source,
        "name": request.POST.get("name", f"Copy of {source.name}" if source is not None else ""),
        "teams": teams_for(actor),
        "everywhere": Right.EDIT_FLOWS in actor.holdings.everywhere,
    }
    if request.method != "POST":
        return render(request, "flows/new.html", context)
    try:
        text = source.draft if source is not None else None
        flow = create_flow(actor, request.POST.get("name", ""), text=text, team=team_of(actor, request.POST.get("team", "")))
    except Invalid as refusal:
        return render(request, "flows/new.html", context | {"problems": refusal.problems}, status=422)
    return redirect(edit_url(flow))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def import_page(request: Any) -> HttpResponse:
    """A document from a file or a text: first what it would change, then a new flow or a new draft of `flow`."""
    actor = request.actor
    require_some_edit(actor)
    slug = request.POST.get("flow", request.GET.get("flow", ""))
    flow = flow_named(actor, slug) if slug else None
    if flow is not None:
        require(actor, Right.EDIT_FLOWS, flow)
    context: dict[str, Any] = {
        "flow": flow,
        "teams": teams_for(actor),
        "everywhere": Right.EDIT_FLOWS in actor.holdings.everywhere,
    }
    if request.method != "POST":
        return render(request, "flows/import.html", context)
    text = ""
    try:
        text = _kept(request, flow) or uploaded(request)
        document = read_document(text)
        context |= {"text": text, "document": document}
        here = checked(document, flow.slug if flow is not None else "", flow.team_id if flow is not None else None)
        context |= {"problems": faults(here.problems), "warnings": faults(here.warnings)}
        if flow is not None and (before := read(flow.draft)) is not None:
            found = differences(before, document)
            context |= {"found": found, "changes": shown(found), "words": as_text(found, "draft", "file")}
        if request.POST.get("act") == "import":
            return redirect(_imported(actor, request, flow, text))
    except DocumentRefused as refusal:
        return render(
            request, "flows/import.html", context | {"text": text[:LARGEST_FILE], "refused": refusal.problems}, status=422
        )
    except (Invalid, DraftChanged) as refusal:
        refused = refusal.problems or [Fault("", refusal.message)]
        return render(request, "flows/import.html", context | {"text": text[:LARGEST_FILE], "refused": refused}, status=422)
    return render(request, "flows/import.html", context)


def _kept(request: Any, flow: Flow | None) -> str | None:
    """The file that a comparison with the flow has kept, where the form names it."""
    name = request.POST.get("kept", "")
    return file_named(flow, name) if flow is not None and name else None


def _imported(actor: Actor, request: Any, flow: Flow | None, text: str) -> str:
    if flow is None:
        made = create_flow(actor, text=text, team=team_of(actor, request.POST.get("team", "")))
        request.toast(f"{made.name} is imported as a draft.")
        return edit_url(made)
    save_draft(actor, flow.slug, dump_document(read_document(text)), revision_in(request), runnable=False)
    request.toast(f"The draft of {flow.name} is now what the file says.")
    return edit_url(flow)


def revision_in(request: Any) -> int | None:
    """The revision of the draft that the form was made for; None where it does not say."""
    seen = request.POST.get("revision", "")
    return int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else None


@login_required
@require_POST
def bulk(request: Any) -> HttpResponse:
    """Pauses, resumes, tags or exports several flows. Pausing and resuming ask once, with the names."""
    actor = request.actor
    chosen = request.POST.getlist("flow")[:MOST_AT_ONCE]
    flows = list(flows_for(actor).filter(slug__in=chosen).order_by("name"))
    act = request.POST.get("act", "")
    back = reverse("flows") + (f"?{request.POST['back']}" if request.POST.get("back") else "")
    if not flows or act not in ("pause", "resume", "tag", "export"):
        request.toast("Choose flows first.")
        return redirect(back)
    if act == "export":
        return _archive_of(flows)
    if act in ("pause", "resume") and not request.POST.get("confirmed"):
        found = starters_of(flows)
        listed = [(flow, found.get(flow.id, [])) for flow in flows]
        return render(request, "flows/bulk.html", {"listed": listed, "act": act, "back": request.POST.get("back", "")})
    done, refused = 0, []
    tag = " ".join(request.POST.get("tag", "").split())
    for flow in flows:
        try:
            if act == "tag":
                change_settings(actor, flow.slug, {"tags": [*flow.tags, tag]})
            else:
                pause_flow(actor, flow.slug, paused=act == "pause")
            done += 1
        except Refusal as refusal:
            refused.append(f"{flow.name}: {refusal.problems[0].message if refusal.problems else refusal.message}")
    words = {"pause": "paused", "resume": "resumed", "tag": "tagged"}[act]
    request.toast(f"{done} {'flow' if done == 1 else 'flows'} {words}." + (f" Not {refused[0]}" if refused else ""))
    return redirect(back)


def _archive_of(flows: list[Flow]) -> HttpResponse:
    """The drafts as files in one archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for flow in flows:
            archive.writestr(zipfile.ZipInfo(f"{flow.slug}.yaml", (1980, 1, 1, 0, 0, 0)), flow.draft)
    headers = {"Content-Disposition": 'attachment; filename="flows.zip"'}
    return HttpResponse(file.getvalue(), "application/zip", headers=headers)
