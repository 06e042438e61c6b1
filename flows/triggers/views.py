"""The pages of triggers: the list, one trigger, and what people do to it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import Forbidden, Invalid, NotFound
from flows.access.rights import Right, require
from flows.models import Flow, Trigger
from flows.triggers.actions.fire_by_hand import fire_now, replay_delivery
from flows.triggers.actions.pause_trigger import pause_trigger
from flows.triggers.actions.remove_trigger import remove_trigger
from flows.triggers.actions.rotate_secret import rotate_secret
from flows.triggers.actions.save_trigger import change_trigger, create_trigger
from flows.triggers.actions.use_as_sample import use_as_sample
from flows.triggers.bodies import shown_body
from flows.triggers.clock import database_now
from flows.triggers.forms import TriggerForm
from flows.triggers.reads import firing_named, firings_of, trigger_named, triggers_listed, why_inactive
from flows.triggers.rows import calendar_of, next_times, row_of, rows_of
from flows.triggers.settings import DEFAULTS

KINDS = {"schedule": "Schedules", "webhook": "Webhooks"}


@login_required
@require_safe
def trigger_list(request: Any) -> HttpResponse:
    """Schedules or webhooks, of all flows or of one; with ``part=list`` the region that the flow's page shows."""
    actor, slug = request.actor, request.GET.get("flow", "")
    flow = flows_for(actor).filter(slug=slug.replace("\x00", "")[:80]).first() if slug else None
    if slug and flow is None:
        raise NotFound(f"flow {slug[:80]!r}")
    part = request.GET.get("part") == "list"
    kind = request.GET.get("kind", "") if request.GET.get("kind", "") in KINDS else "" if part else "schedule"
    triggers, now = triggers_listed(actor, kind, slug), database_now()
    rows = rows_of(triggers, now)
    context = {
        "rows": rows,
        "flow": flow,
        "kind": kind,
        "calendar": calendar_of(rows, now) if kind == "schedule" else None,
        "tabs": [
            {"label": label, "url": f"?kind={each}", "current": each == kind, "count": None} for each, label in KINDS.items()
        ],
        "may_make": actor.may(Right.EDIT_FLOWS, flow.team_id if flow is not None else None),
    }
    return render(request, "triggers/_list.html" if part else "triggers/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_trigger(request: Any) -> HttpResponse:
    """The form of a new schedule or webhook. A webhook's secret is shown on the page that follows, this once."""
    actor = request.actor
    if not actor.holdings.allow(Right.EDIT_FLOWS):
        raise Forbidden(Right.EDIT_FLOWS)
    kind = request.GET.get("kind") if request.GET.get("kind") in KINDS else "schedule"
    slug = request.POST.get("flow") or request.GET.get("flow", "")
    form = TriggerForm(kind, {"zone": request.COOKIES.get("tz", "UTC").replace("%2F", "/")} if kind == "schedule" else {})
    status = 200
    if request.method == "POST":
        form = TriggerForm(kind, {}, request.POST)
        if form.is_valid():
            given = form.given()
            if form.is_valid():
                try:
                    trigger, secret = create_trigger(actor, slug, kind, form.cleaned_data["name"], given)
                except Invalid as refusal:
                    form.take(refusal.problems)
                else:
                    return _page(request, trigger_named(actor, trigger.public_id), secret=secret) if secret else _to(trigger)
        status = 422
    example = {"cron": "30 9 * * 2", "zone": form["zone"].value()} if kind == "schedule" else {"mapping": "{{ body }}"}
    context = {"form": form, "kind": kind, "slug": slug, "flows": _flows(actor), "example": example}
    return render(request, "triggers/new.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def trigger_page(request: Any, trigger_id: str) -> HttpResponse:
    """One trigger: when it fires or where to deliver, what became of the last ones, and what it is set to."""
    actor, trigger = request.actor, trigger_named(request.actor, trigger_id)
    if request.method != "POST":
        return _page(request, trigger)
    require(actor, Right.EDIT_FLOWS, trigger.flow)
    form = TriggerForm(trigger.kind, trigger.settings, request.POST, trigger.name)
    if form.is_valid():
        given = form.given()
        if form.is_valid():
            try:
                change_trigger(actor, trigger, given, form.cleaned_data["name"])
            except Invalid as refusal:
                form.take(refusal.problems)
            else:
                request.toast("Saved.")
                return _to(trigger)
    return _page(request, trigger, form=form, status=422)


@login_required
@require_POST
def pause(request: Any, trigger_id: str) -> HttpResponse:
    """Pauses, or with ``act=resume`` lets it go on."""
    trigger = trigger_named(request.actor, trigger_id)
    pause_trigger(request.actor, trigger, paused=request.POST.get("act") != "resume")
    return _to(trigger)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def removal(request: Any, trigger_id: str) -> HttpResponse:
    """Asks once, then removes it."""
    trigger = trigger_named(request.actor, trigger_id)
    require(request.actor, Right.EDIT_FLOWS, trigger.flow)
    if request.method != "POST":
        return render(request, "triggers/removal.html", {"trigger": trigger})
    remove_trigger(request.actor, trigger)
    request.toast(f"{trigger.name} is removed.")
    return redirect(f"{reverse('triggers')}?kind={trigger.kind}")


@login_required
@require_POST
def secret(request: Any, trigger_id: str) -> HttpResponse:
    """A new secret, shown on the page that answers and never again."""
    trigger = trigger_named(request.actor, trigger_id)
    fresh = rotate_secret(request.actor, trigger)
    return _page(request, trigger_named(request.actor, trigger_id), secret=fresh)


@login_required
@require_POST
def firings(request: Any, trigger_id: str) -> HttpResponse:
    """Fires it now."""
    run = fire_now(request.actor, trigger_named(request.actor, trigger_id))
    return redirect("run", run.public_id)


@login_required
@require_POST
def replay(request: Any, trigger_id: str, firing_id: str) -> HttpResponse:
    """A new run with what was delivered."""
    trigger = trigger_named(request.actor, trigger_id)
    run = replay_delivery(request.actor, trigger, firing_named(trigger, firing_id))
    return redirect("run", run.public_id)


@login_required
@require_POST
def sample(request: Any, trigger_id: str, firing_id: str) -> HttpResponse:
    """Takes a delivery over as the sample."""
    trigger = trigger_named(request.actor, trigger_id)
    use_as_sample(request.actor, trigger, firing_named(trigger, firing_id))
    request.toast("The delivery is the sample now.")
    return _to(trigger)


def _page(
    request: Any, trigger: Trigger, *, form: TriggerForm | None = None, secret: str = "", status: int = 200
) -> HttpResponse:
    actor, now, team = request.actor, database_now(), trigger.flow.team_id
    context = {
        "trigger": trigger,
        "row": row_of(trigger, now),
        "times": next_times(trigger, now) if trigger.kind == "schedule" and not why_inactive(trigger) else [],
        "firings": [(each, shown_body(trigger, each)) for each in firings_of(trigger)],
        "form": form or TriggerForm(trigger.kind, {**DEFAULTS[trigger.kind], **trigger.settings}, name=trigger.name),
        "secret": secret,
        "url": request.build_absolute_uri(reverse("hook", args=[trigger.public_id])),
        "may_edit": actor.may(Right.EDIT_FLOWS, team),
        "may_control": actor.may(Right.CONTROL_RUNS, team),
        "may_run": actor.may(Right.START_RUNS, team),
    }
    response = render(request, "triggers/detail.html", context, status=status)
    if secret:
        response["Cache-Control"] = "no-store"
    return response


def _to(trigger: Trigger) -> HttpResponse:
    return redirect("trigger", trigger.public_id)


def _flows(actor: Actor) -> list[Flow]:
    """The flows that may get a trigger of this person's."""
    found = flows_for(actor).filter(archived_at=None).defer("draft", "replaced_draft").order_by("name")[:500]
    return [flow for flow in found if actor.may(Right.EDIT_FLOWS, flow.team_id)]
