"""``/settings/keys``: API keys, one's own and, for whoever manages them, everybody's."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from flows.access.actions.create_key import create_key
from flows.access.actions.revoke_key import revoke_key
from flows.access.refusals import Invalid
from flows.access.rights import Right
from flows.costs.budgets import gauges
from orchestrator.people.forms import KeyForm
from orchestrator.people.reads import key_named, keys_listed
from orchestrator.people.tabs import tabs_for

STATES = {"active": "In use", "revoked": "Revoked", "all": "All"}


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def keys(request: Any) -> HttpResponse:
    """The keys; makes one for oneself, whose secret the answer shows, this once."""
    actor, secret = request.actor, ""
    form = KeyForm(request.POST or None, label_suffix="", initial={"days": "90", "scopes": ["runs:read"]})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            _, secret = create_key(actor, actor.person, given["scopes"], label=given["label"], expires_at=form.expires_at())
        except Invalid as refusal:
            form.take(refusal.problems)
        else:
            form = KeyForm(label_suffix="", initial={"days": "90", "scopes": ["runs:read"]})
    state = request.GET.get("state", "") if request.GET.get("state", "") in STATES else "active"
    budgets = {gauge.budget.subject.replace("-", ""): gauge for gauge in gauges() if gauge.budget.scope == "key"}
    found = keys_listed(actor, state)
    context = {
        "tabs": tabs_for(actor, "settings-keys"),
        "keys": [(key, budgets.get(key.id.hex)) for key in found],
        "everybodys": actor.may(Right.MANAGE_KEYS),
        "form": form,
        "secret": secret,
        "state": state,
        "states": STATES.items(),
        "now": timezone.now(),
        "example": ["runs:read"],  # of the command beside the form
    }
    response = render(request, "people/keys.html", context, status=422 if form.errors else 200)
    if secret:
        response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def revocation(request: Any, key_id: str) -> HttpResponse:
    """Ends a key."""
    key = key_named(request.actor, key_id)
    revoke_key(request.actor, key)
    request.toast(f"Key {key.hint}… is revoked.")
    return redirect("settings-keys")
