"""``/flows/<slug>/publication``: what a new version changes, asked for by GET, done by POST."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.refusals import Conflict, Invalid
from flows.access.rights import Right, require
from flows.builder.actions.ask_to_publish import ask_to_publish
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.checking import checked
from flows.builder.comparing import shown, side_of
from flows.builder.differences import differences
from flows.builder.pages.ground import heading, told
from flows.builder.publishing import LONGEST_NOTE
from flows.builder.reads import flow_named
from flows.builder.starters import starters_of
from flows.engine.drawing import drawn
from flows.models import Flow, FlowVersion, Request
from flows.routing.expecting import expected_cost


class PublicationForm(forms.Form):
    """Why, and that the warnings were read."""

    use_required_attribute = False

    note = forms.CharField(
        label="What is new",
        max_length=LONGEST_NOTE,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the version, for those who look for a change later.",
        error_messages={"required": "Say in a few words what changes and why."},
    )
    read = forms.BooleanField(error_messages={"required": "Read the warnings, and tick that you have."})
    revision = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, warnings: int, data: Any = None, initial: Any = None) -> None:
        super().__init__(data, initial=initial, label_suffix="")
        if warnings:
            many = f"the {warnings} warnings" if warnings > 1 else "the warning"
            self.fields["read"].label = f"I have read {many}, and publish all the same"
        else:
            self.fields.pop("read")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def publication(request: Any, slug: str) -> HttpResponse:
    """Shows what publishing the draft changes, and publishes it; where the flow wants two, asks somebody else."""
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.PUBLISH_FLOWS, flow)
    context = publication_context(request.actor, flow)
    warnings = len(context["warnings"])
    if request.method != "POST":
        context["form"] = PublicationForm(
            warnings, initial={"revision": flow.revision, "note": "" if context["live"] else "First version"}
        )
        return render(request, "flows/publication.html", context)
    form = PublicationForm(warnings, request.POST)
    if form.is_valid() and not context["problems"]:
        try:
            return _published(request, flow, form.cleaned_data)
        except (Conflict, Invalid) as refusal:
            context["refused"] = refusal.message
            form = PublicationForm(warnings, {**request.POST.dict(), "revision": flow.revision, "read": ""})
            form.is_valid()
            form.errors.clear()
    context["form"] = form
    return render(request, "flows/publication.html", context, status=422 if "refused" not in context else 409)


def _published(request: Any, flow: Flow, given: dict[str, Any]) -> HttpResponse:
    if flow.needs_second:
        asked = ask_to_publish(request.actor, flow.slug, revision=given["revision"], note=given["note"])
        request.toast(f"Asked. {flow.name} is published as soon as somebody else approves.")
        return redirect("approval", asked.public_id)
    version = publish_flow(request.actor, flow.slug, revision=given["revision"], note=given["note"])
    request.toast(f"{flow.name} v{version.number} is live.")
    return redirect(f"{reverse('flow', kwargs={'slug': flow.slug})}?tab=versions")


def publication_context(actor: Actor, flow: Flow) -> dict[str, Any]:
    """What the page says: changes, problems, effects, cost, dependability."""
    live: FlowVersion | None = flow.published
    draft = side_of(flow, "draft")
    before = side_of(flow, f"v{live.number}") if live is not None else None
    here = checked(draft.document, flow.slug, flow.team_id)
    both = before is not None and before.document is not None and draft.document is not None
    found = differences(before.document, draft.document) if both else None  # type: ignore[union-attr, arg-type]
    in_flight = runs_for(actor).filter(flow=flow, purpose="live", ended_at__isnull=True).count()
    asked = Request.objects.filter(flow=flow, kind="publish", state__in=["pending", "info_requested"]).first()
    return heading(actor, flow, "versions") | {
        "live": live,
        "next": (live.number or 0) + 1 if live is not None else 1,
        "found": found,
        "changes": shown(found) if found is not None else [],
        "problems": told(flow, here.problems),
        "warnings": told(flow, here.warnings),
        "unreadable": draft.document is None,
        "nothing": found is not None and not found,
        "in_flight": in_flight,
        "starters": starters_of([flow]).get(flow.id, []),
        "estimate": expected_cost(actor, flow, draft.document) if draft.document is not None else None,
        "report": here.report,
        "drawing": drawn(draft.document) if live is None and draft.document is not None else None,
        "asked": asked,
    }
