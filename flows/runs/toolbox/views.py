"""``/tools`` and ``/connections``: what flows can call, trying it by hand, and the servers that tools come from."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access.actions.put_secret import holders, put_secret, remove_secret, reseal, users_of_secrets
from flows.access.actor import Actor
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid, Refusal
from flows.access.rights import Right, require
from flows.engine.examples import example_of
from flows.engine.failures import Failure
from flows.models import MCPServer, ModelEntry, Secret, ToolEntry
from flows.runs.actions.put_connection import check_connection, put_connection, remove_connection
from flows.runs.actions.put_tool import change_terms, remove_tool
from flows.runs.actions.try_tool import try_tool
from flows.runs.toolbox.affected import affected_by_effect, policies_in_force
from flows.runs.toolbox.connected import KIND_LABELS, connections_shown
from flows.runs.toolbox.entries import SERVER
from flows.runs.toolbox.forms import connection_from, terms_from, terms_of, terms_typed
from flows.runs.toolbox.reads import REPEATS, tool_shown, tools_shown
from flows.tools.actions.refresh_server import accept_tool, refresh_server
from flows.tools.connections import KINDS


@require_safe
@login_required
def tools(request: Any) -> HttpResponse:
    """Every tool. Raises `Forbidden` where one may see no flows."""
    _require(request.actor)
    return render(
        request, "tools/list.html", {"tools": tools_shown(request.actor), "may_manage": request.actor.may(Right.MANAGE_CATALOGUE)}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tool(request: Any, tool: str) -> HttpResponse:
    """One tool with a console to try it. A POST (`act`) calls it: try; changes what it counts as: terms; takes in what its server has made
    of it: accept; or takes it out of the catalogue: remove."""
    if request.method == "POST":
        require(request.actor, Right.EDIT_ROUTES)
    else:
        _require(request.actor)
    shown = tool_shown(request.actor, tool)
    context: dict[str, Any] = {"refusal": None, "affected": [], "terms": terms_of(shown.tool), "given": ""}
    if request.method == "POST":
        try:
            answer = _tool_act(request, shown.tool, context)
        except (Invalid, Conflict) as found:
            context["refusal"] = found
        else:
            if answer is not None:
                return answer
    context |= {
        "page": shown,
        "given": context["given"] or json.dumps(example_of(shown.tool.arguments) or {}, indent=2, ensure_ascii=False),
        "example": example_of(shown.tool.arguments) or {},  # of the command beside the button
        "may_try": request.actor.may(Right.EDIT_ROUTES),
        "may_manage": request.actor.may(Right.MANAGE_CATALOGUE),
        "repeats": REPEATS.items(),
        "policies": policies_in_force().items(),
    }
    return render(request, "tools/tool.html", context, status=400 if context["refusal"] is not None else 200)


def _tool_act(request: Any, entry: ToolEntry, context: dict[str, Any]) -> HttpResponse | None:
    act, given = request.POST.get("act", "try"), request.POST
    context["act"] = act
    if act == "accept":
        accept_tool(request.actor, entry.slug)
    elif act == "remove":
        remove_tool(request.actor, entry.slug)
        request.toast(f"{entry.slug} was removed.")
        return redirect("tools")
    elif act == "terms":
        require(request.actor, Right.MANAGE_CATALOGUE)
        context["terms"] = terms_typed(given)
        context["affected"] = affected_by_effect(entry, given.get("effect", ""))
        if context["affected"] and given.get("sure") != given.get("effect"):
            return None  # says first what rests on it (CON-5)
        change_terms(request.actor, entry.slug, terms_from(given))
        request.toast(f"{entry.slug} is saved.")
    else:
        context["given"] = given.get("arguments", "")
        run = try_tool(request.actor, entry.slug, _parsed(context["given"]), really=given.get("really") == "yes")
        return redirect("run", run.public_id)
    return redirect("tool", entry.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def connections(request: Any) -> HttpResponse:
    """The connections, MCP servers among them. A POST writes one (`act` is save) or removes one. Raises `Forbidden` without the right to
    manage the catalogue."""
    require(request.actor, Right.MANAGE_CATALOGUE)
    refusal = None
    if request.method == "POST":
        name = request.POST.get("name", "").strip()
        try:
            if request.POST.get("act") == "remove":
                remove_connection(request.actor, name)
                request.toast(f"{name} was removed.")
            else:
                put_connection(request.actor, name, connection_from(request.POST))
                request.toast(f"{name} is saved.")
        except (Invalid, Conflict) as found:
            refusal = found
        else:
            return redirect("connections")
    return _connections(request, refusal=refusal, status=400 if refusal is not None else 200)


@require_POST
@login_required
def check(request: Any, server: str) -> HttpResponse:
    """Asks a connection who it is, or an MCP server what it has, and says what came of it (CON-4)."""
    try:
        said = _checked(request.actor, server)
    except Refusal:
        raise
    except Failure as failure:
        said = failure.message
    return _connections(request, checked=server, said=said)


def _checked(actor: Actor, name: str) -> str:
    require(actor, Right.MANAGE_CATALOGUE)
    if not MCPServer.objects.filter(slug=name[:60]).exists():
        return check_connection(actor, name)
    done = refresh_server(actor, name)
    parts = [(done.new, "new"), (done.changed, "changed"), (done.gone, "gone")]
    return "; ".join(f"{word}: {', '.join(slugs)}" for slugs, word in parts if slugs) or "Nothing has changed."


def _connections(request: Any, *, refusal: Any = None, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "connections": connections_shown(),
        "kinds": [(kind, KIND_LABELS[kind]) for kind in (*KINDS, SERVER)],
        "secrets": list(Secret.objects.order_by("name").values_list("name", flat=True)),
        "tls": ["verify-full", "require", "prefer", "disable", "starttls", "tls", "none"],
        "typed": request.POST if refusal is not None else request.GET,
        "refusal": refusal,
        **more,
    }
    return render(request, "tools/connections.html", context, status=status)


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
    users = users_of_secrets()
    rows = [(row, users.get(row.name, [])) for row in Secret.objects.select_related("by").defer("sealed").order_by("name")]
    naming = set(ToolEntry.objects.filter(kind__in=["http", "chat"]).values_list("slug", flat=True))
    tools = [each for each in holders() if each.startswith("connection:") or each in naming]
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
