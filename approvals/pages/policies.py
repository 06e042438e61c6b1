"""The pages of approval policies and of how reviewing goes."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals.actions.save_policy import retire_policy, save_policy
from approvals.models import Policy
from approvals.policies.forms import PolicyForm
from approvals.policies.health import figures_of, loads_of
from approvals.policies.reads import policies_for, policy_named, require_reading
from approvals.policies.settings import PolicySettings, read_settings
from approvals.policies.trying import tried_on_last_runs
from approvals.policies.words import in_words, ladder_in_words
from flows.access.actor import Actor
from flows.access.refusals import Conflict, Invalid
from flows.access.rights import Right, require

EXAMPLE = {"teams": ["TEAM"], "tools": ["TOOL"], "quorum": 1}
"""What the commands of a new policy's form begin with."""


@login_required
@require_safe
def policy_list(request: Any) -> HttpResponse:
    """All policies in force, with how each did in 30 days."""
    actor: Actor = request.actor
    policies = policies_for(actor)
    figures = figures_of(actor)
    rows = [_row(policy, figures) for policy in policies]
    context = {
        "rows": [row for row in rows if row["policy"].retired_at is None],
        "retired": [row for row in rows if row["policy"].retired_at is not None],
        "all": figures[""],
        "may_manage": actor.may(Right.MANAGE_POLICIES),
    }
    return render(request, "policies/list.html", context)


def _row(policy: Policy, figures: Any) -> dict[str, Any]:
    settings = PolicySettings.model_validate(policy.rules)
    return {
        "policy": policy,
        "version": policy.number,
        "applies": ", ".join([*settings.tools, *settings.flows]) or "steps that name it",
        "who": in_words(settings),
        "ladder": ladder_in_words(settings),
        "settings": settings,
        "figures": figures.get(policy.slug),
    }


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_policy(request: Any) -> HttpResponse:
    """The form of a new policy; with ``act=try`` it is tried and nothing is saved."""
    require(request.actor, Right.MANAGE_POLICIES)
    if request.method != "POST":
        return _page(request, PolicyForm(), None)
    return _take(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def policy_page(request: Any, slug: str) -> HttpResponse:
    """One policy: its newest version as a form, its figures, its versions."""
    actor: Actor = request.actor
    require_reading(actor)
    policy = policy_named(slug)
    if request.method == "POST":
        require(actor, Right.MANAGE_POLICIES)
        return _take(request, policy)
    return _page(request, PolicyForm(name=policy.name, rules=policy.rules), policy)


@login_required
@require_POST
def retirement(request: Any, slug: str) -> HttpResponse:
    """Takes a policy out of force."""
    retire_policy(request.actor, slug)
    request.toast("Nothing new is asked under this policy.")
    return redirect("policies")


@login_required
@require_safe
def health(request: Any) -> HttpResponse:
    """How reviewing goes: what each policy and each person comes to in 30 days."""
    actor: Actor = request.actor
    require_reading(actor)
    figures = figures_of(actor)
    names = dict(Policy.objects.values_list("slug", "name"))
    context = {
        "all": figures.pop(""),
        "policies": [(names.get(slug, slug), each) for slug, each in sorted(figures.items())],
        "loads": loads_of(actor),
    }
    return render(request, "policies/health.html", context)


def _take(request: Any, policy: Policy | None) -> HttpResponse:
    form = PolicyForm(request.POST)
    if not form.is_valid():
        return _page(request, form, policy, status=422)
    based_on = request.POST.get("based_on", "")
    try:
        rules = form.rules()
        if request.POST.get("act") == "try":
            return _page(request, form, policy, trial=tried_on_last_runs(request.actor, read_settings(rules)))
        slug = policy.slug if policy is not None else slugify(form.cleaned_data["name"])[:64]
        if policy is None and Policy.objects.filter(slug=slug).exists():
            form.add_error("name", "There is a policy of this name already.")
            return _page(request, form, None, status=422)
        version = save_policy(
            request.actor, slug, form.cleaned_data["name"], rules, int(based_on) if based_on.isdecimal() else None
        )
    except Invalid as refusal:
        form.take(refusal.problems)
        return _page(request, form, policy, status=422)
    except Conflict as refusal:
        form.add_error(None, refusal.message)
        return _page(request, form, policy, status=409)
    request.toast(f"Saved as version {version.number}. Open requests keep the version under which they were asked.")
    return redirect("policy", slug=version.policy.slug)


def _page(request: Any, form: PolicyForm, policy: Policy | None, *, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "form": form,
        "policy": policy,
        "may_manage": request.actor.may(Right.MANAGE_POLICIES),
        "based_on": request.POST.get("based_on") or (policy.number if policy is not None else 0),
        "versions": list(policy.versions.select_related("by").order_by("-number")[:50]) if policy is not None else [],
        "figures": figures_of(request.actor).get(policy.slug) if policy is not None else None,
        "document": json.dumps(policy.rules, indent=2, ensure_ascii=False) if policy is not None else "",
        "example": policy.rules if policy is not None else EXAMPLE,
        **more,
    }
    return render(request, "policies/policy.html", context, status=status)
