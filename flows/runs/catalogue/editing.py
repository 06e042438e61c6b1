"""Editing models and routes on pages: what is sent is saved, checked, tried on the past, or shown again with what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.refusals import NotFound, Refusal
from flows.access.rights import Right, require
from flows.models import ModelEntry, Route, Secret
from flows.runs.actions.check_key import check_key
from flows.runs.actions.put_model import Put, put_model, remove_model
from flows.runs.actions.put_route import put_route, remove_route
from flows.runs.catalogue.dryrun import dry_run
from flows.runs.catalogue.forms import (
    CHOICES,
    OF_MODELS,
    changed_rows,
    model_from,
    route_from,
    typed_model,
    typed_route,
    values_of_model,
    values_of_route,
)
from flows.runs.catalogue.uses import holders_of_model

SUMMARIES: Mapping[str, str] = {"save": "Nothing was saved", "check": "The key was not checked", "dry-run": "Nothing was tried"}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def model(request: Any, model: str = "") -> HttpResponse:
    """A model's form, or that of a new one. ``act`` says what is wanted: save, check (the key; saves nothing), remove."""
    require(request.actor, Right.MANAGE_CATALOGUE)
    entry = ModelEntry.objects.filter(slug=model[:80]).first() if "\x00" not in model else None
    if model and entry is None:
        raise NotFound(f"model {model[:80]!r}")
    context: dict[str, Any] = {"values": values_of_model(entry), "refusal": None, "checked": None}
    if request.method == "POST":
        context["values"] = typed_model(request.POST)
        try:
            answer = _model_act(request, entry, context)
        except Refusal as refusal:
            if refusal.status in (403, 404):
                raise
            context["refusal"] = refusal
        else:
            if answer is not None:
                return answer
    given = request.POST if request.method == "POST" else None
    context |= {
        "entry": entry,
        "revision": given.get("revision", "0") if given is not None else (entry.revision if entry is not None else 0),
        "secrets": Secret.objects.order_by("name").values_list("name", flat=True),
        "holders": holders_of_model(model) if entry is not None else [],
        "summary": SUMMARIES.get(given.get("act", "save") if given is not None else "", "Nothing was changed"),
        **CHOICES,
        "capabilities": OF_MODELS,
    }
    return render(request, "models/model.html", context, status=context["refusal"].status if context["refusal"] else 200)


def _model_act(request: Any, entry: ModelEntry | None, context: dict[str, Any]) -> HttpResponse | None:
    given, revision = request.POST, _revision(request.POST)
    if given.get("act") == "remove" and entry is not None:
        remove_model(request.actor, entry.slug, revision=revision)
        request.toast(f"{entry.slug} was removed.")
        return redirect("models")
    part = model_from(given)
    slug = entry.slug if entry is not None else given.get("name", "").strip()
    if given.get("act") == "check":
        context["checked"] = check_key(request.actor, slug, part, granting=True)
        return None
    _tell(request, put_model(request.actor, slug, part, revision=revision, check=True, grant=True), slug)
    return redirect("models")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def route(request: Any, route: str = "") -> HttpResponse:
    """A route's form, or that of a new one. ``act``: save, dry-run (changes nothing), remove, or a button of the list of candidates."""
    require(request.actor, Right.EDIT_ROUTES)
    stored = Route.objects.filter(slug=route[:80]).first() if "\x00" not in route else None
    if route and stored is None:
        raise NotFound(f"route {route[:80]!r}")
    context: dict[str, Any] = {"values": values_of_route(stored), "refusal": None, "tried": None}
    if request.method == "POST":
        context["values"] = typed_route(request.POST)
        rows = changed_rows(context["values"]["rows"], request.POST.get("act", ""))
        if rows is not None:
            context["values"]["rows"] = rows
        else:
            try:
                answer = _route_act(request, stored, context)
            except Refusal as refusal:
                if refusal.status in (403, 404):
                    raise
                context["refusal"] = refusal
            else:
                if answer is not None:
                    return answer
    given = request.POST if request.method == "POST" else None
    context |= {
        "stored": stored,
        "example": ["MODEL"],  # of the command beside the form
        "version": given.get("revision", "0") if given is not None else (stored.version if stored is not None else 0),
        "models": ModelEntry.objects.order_by("slug"),
        "summary": SUMMARIES.get(given.get("act", "save") if given is not None else "", "Nothing was changed"),
        **CHOICES,
    }
    return render(request, "models/route_form.html", context, status=context["refusal"].status if context["refusal"] else 200)


def _route_act(request: Any, stored: Route | None, context: dict[str, Any]) -> HttpResponse | None:
    given, version = request.POST, _revision(request.POST)
    if given.get("act") == "remove" and stored is not None:
        remove_route(request.actor, stored.slug, version=version)
        request.toast(f"The route {stored.slug} was removed.")
        return redirect("models")
    slug = stored.slug if stored is not None else given.get("name", "").strip()
    part = route_from(given)
    if given.get("act") == "dry-run":
        context["tried"] = dry_run(request.actor, slug, part)
        return None
    put = put_route(request.actor, slug, part, version=version)
    _tell(request, put, f"{slug} v{put.entry.version}")
    return redirect("route", slug)


def _revision(given: Any) -> int:
    text = given.get("revision", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _tell(request: Any, put: Put, name: str) -> None:
    request.toast(f"{name} is saved." if put.changes else f"{name} stays as it was.")
    for warning in put.warnings:
        request.toast(warning)
