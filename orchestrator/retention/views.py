"""``/settings/retention``: how long payloads and events are kept, and what a change would remove."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.refusals import Invalid
from flows.access.rights import Right, require
from flows.models import Flow
from orchestrator.people.forms import Taking
from orchestrator.people.tabs import tabs_for
from orchestrator.retention.change_retention import change_retention, drop_rule
from orchestrator.retention.rules import LONGEST, preview, rule_of, rules


class RetentionForm(Taking):
    flow = forms.ChoiceField(required=False, label="Whose runs")
    payload_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST,
        label="Payloads: days",
        help_text="Inputs, outputs, prompts, answers. Empty: for ever.",
    )
    event_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST,
        label="Events: days",
        help_text="The lines of the timeline. Empty: for ever.",
    )
    reason = forms.CharField(required=False, max_length=300)

    def __init__(self, data: Any = None, **options: Any) -> None:
        super().__init__(data, label_suffix="", **options)
        field = self.fields["flow"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            ("", "all without a rule of their own"),
            *Flow.objects.order_by("name").values_list("slug", "name")[:500],
        ]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def retention(request: Any) -> HttpResponse:
    """The rules. A change is shown first with what it would remove, and made when that is confirmed."""
    require(request.actor, Right.MANAGE_SETTINGS)
    everybodys = rule_of(None)
    now = {"payload_days": everybodys.payload_days, "event_days": everybodys.event_days}
    form = RetentionForm(request.POST if request.method == "POST" else None, initial=now)
    wanted = None
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        flow = Flow.objects.get(slug=given["flow"]) if given["flow"] else None
        if request.POST.get("act") == "drop" and flow is not None:
            drop_rule(request.actor, flow)
            return redirect("settings-retention")
        if request.POST.get("act") == "save":
            try:
                change_retention(request.actor, flow, given["payload_days"], given["event_days"], given["reason"])
            except Invalid as refusal:
                form.take(refusal.problems)
            else:
                request.toast("Saved. What is older goes within minutes.")
                return redirect("settings-retention")
        else:
            wanted = preview(flow, given["payload_days"], given["event_days"])
    context = {"tabs": tabs_for(request.actor, "settings-retention"), "rules": rules(), "form": form, "preview": wanted}
    return render(request, "settings/retention.html", context, status=422 if form.errors else 200)
