"""``/tools`` and ``/connections``: what flows can call, trying it by hand, and the servers that tools come from."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access.actions.put_secret import put_secret, remove_secret, reseal, using
from flows.access.actor import Actor
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid, Refusal
from flows.access.rights import Right, require
from flows.engine.examples import example_of
from flows.engine.failures import Failure
from flows.models import ModelEntry, Secret, ToolEntry
from flows.runs.actions.try_tool import try_tool
from flows.runs.toolbox.reads import servers_shown, tool_shown, tools_shown
from flows.tools.actions.refresh_server import accept_tool, refresh_server


@require_safe
@login_required
def tools(request: Any) -> HttpResponse:
    """Every tool. Raises `Forbidden` where one may see no flows."""
    _require(request.actor)
    return render(request, "tools/list.html", {"tools": tools_shown(request.actor)})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tool(request: Any, tool: str) -> HttpResponse:
    """One tool with a console to try it. A POST calls it (`act` is try) or takes in what its server has made of it (accept)."""
    if request.method == "POST":
        require(request.actor, Right.EDIT_ROUTES)
    else:
        _require(request.actor)
    shown = tool_shown(request.actor, tool)
    given, refusal = "", None
    if request.method == "POST":
        if request.POST.get("act") == "accept":
            accept_tool(request.actor, tool)
            return redirect("tool", tool)
        given = request.POST.get("arguments", "")
        try:
            run = try_tool(request.actor, tool, _parsed(given), really=request.POST.get("really") == "yes")
        except Invalid as found:
            refusal = found
        else:
            return redirect("run", run.public_id)
    context = {
        "page": shown,
        "given": given or json.dumps(example_of(shown.tool.arguments) or {}, indent=2, ensure_ascii=False),
        "refusal": refusal,
        "may_try": request.actor.may(Right.EDIT_ROUTES),
        "may_manage": request.actor.may(Right.MANAGE_CATALOGUE),
    }
    return render(request, "tools/tool.html", context, status=400 if refusal is not None else 200)


@require_safe
@login_required
def connections(request: Any) -> HttpResponse:
    """The MCP servers. Raises `Forbidden` without the right to manage the catalogue."""
    require(request.actor, Right.MANAGE_CATALOGUE)
    return render(request, "tools/connections.html", {"servers": servers_shown()})


@require_POST
@login_required
def check(request: Any, server: str) -> HttpResponse:
    """Asks an MCP server what it has, and says what came of it and how long it took (CON-4)."""
    said = ""
    try:
        done = refresh_server(request.actor, server)
    except Refusal:
        raise
    except Failure as failure:
        said = failure.message
    else:
        parts = [(done.new, "new"), (done.changed, "changed"), (done.gone, "gone")]
        said = "; ".join(f"{word}: {', '.join(slugs)}" for slugs, word in parts if slugs) or "Nothing has changed."
    context = {"servers": servers_shown(), "checked": server, "said": said}
    return render(request, "tools/connections.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def secrets(request: Any) -> HttpResponse:
    """The secrets, without their values. A POST writes one (`act` is save), removes one, or seals all under the newest key."""
    require(request.actor, Right.MANAGE_CATALOGUE)
    refusal = None
    given = request.POST
    if request.method == "POST":
        try:
            _secret_act(request.actor, given)
        except (Invalid, Conflict) as found:
            refusal = found
        else:
            return redirect("secrets")
    rows = [(row, using(row.name)) for row in Secret.objects.select_related("by").defer("sealed").order_by("name")]
    tools = list(ToolEntry.objects.filter(kind="http").order_by("slug").values_list("slug", flat=True))
    context = {
        "secrets": rows,
        "tools": tools,
        "refusal": refusal,
        "name": given.get("name", ""),
        "models": ModelEntry.objects.filter(simulated=False).order_by("slug").values_list("slug", flat=True),
        "granted": given.getlist("tools"),
        "granted_models": given.getlist("models"),
    }
    return render(request, "tools/secrets.html", context, status=400 if refusal is not None else 200)


def _secret_act(actor: Actor, given: Any) -> None:
    act = given.get("act", "save")
    if act == "remove":
        remove_secret(actor, given.get("name", ""))
    elif act == "reseal":
        reseal(actor)
    else:
        put_secret(actor, given.get("name", "").strip(), given.get("value", ""), given.getlist("tools"), given.getlist("models"))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError as error:
        raise Invalid("The tool was not called.", problems=[Fault("arguments", f"are no JSON: {error}")]) from None


def _require(actor: Actor) -> None:
    if not actor.holdings.allow(Right.SEE_FLOWS) and not actor.holdings.teams(Right.SEE_FLOWS):
        raise Forbidden(Right.SEE_FLOWS)
