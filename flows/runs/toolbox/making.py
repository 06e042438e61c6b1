"""Making a tool in the browser, and changing how one is called."""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.refusals import Conflict, Invalid
from flows.access.rights import Right, require
from flows.models import MCPServer
from flows.runs.actions.put_tool import put_tool
from flows.runs.toolbox.reads import tool_shown
from flows.runs.toolbox.toolform import ToolForm
from flows.tools import known_tool_kinds

SENTENCES: Final = {
    "http": "A request to an address: its arguments become path, query and JSON.",
    "python": "A function that is registered in this installation.",
    "mcp": "The tools of a server that speaks the Model Context Protocol, as it shows them.",
    "flow": "A published flow: its steps run inside the run that calls it.",
    "sql": "One SELECT in a database, which cannot write.",
    "mail": "A letter by a mail server.",
    "chat": "A message into a chat, by its incoming webhook.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_tool(request: Any) -> HttpResponse:
    """The kinds to choose from, then the form of one (`kind`); a POST makes the tool. Raises `Forbidden` without the right to manage the
    catalogue."""
    require(request.actor, Right.MANAGE_CATALOGUE)
    kinds = known_tool_kinds()
    chosen = kinds.get((request.POST or request.GET).get("kind", ""))
    if chosen is None or chosen.slug == "mcp":
        context = {
            "kinds": [(kind.slug, kind.label, SENTENCES.get(kind.slug, "")) for kind in kinds.values()],
            "servers": MCPServer.objects.order_by("slug") if chosen is not None else None,
        }
        return render(request, "tools/kinds.html", context)
    return _edited(request, ToolForm(chosen, None, request.POST if request.method == "POST" else None))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit_tool(request: Any, tool: str) -> HttpResponse:
    """How a tool is called: what its kind needs, and its schemas. A POST changes it. Of one from an MCP server that server alone says so:
    its own page is shown instead. Raises `Forbidden`, `NotFound`."""
    require(request.actor, Right.MANAGE_CATALOGUE)
    entry = tool_shown(request.actor, tool).tool
    kind = known_tool_kinds().get(entry.kind)
    if kind is None or entry.kind == "mcp":
        return redirect("tool", entry.slug)
    return _edited(request, ToolForm(kind, entry, request.POST if request.method == "POST" else None))


def _edited(request: Any, form: ToolForm) -> HttpResponse:
    entry = form.entry
    if form.is_bound:
        slug = entry.slug if entry is not None else request.POST.get("name", "").strip()
        try:
            put_tool(request.actor, slug, form.part(), new=entry is None)
        except (Invalid, Conflict) as refusal:
            form.is_valid()
            form.take([fault for fault in refusal.problems if not form.errors.get(fault.place)])
        else:
            request.toast(f"{slug} is saved.")
            return redirect("tool", slug)
    return render(request, "tools/form.html", {"form": form, "entry": entry}, status=400 if form.is_bound else 200)
