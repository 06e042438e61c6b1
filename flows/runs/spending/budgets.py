"""``/budgets``: what may be spent in a period, what has been, and what is held; making, changing and removing one."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access.actor import Actor
from flows.access.installation import the_installation
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require, require_somewhere
from flows.costs.actions.put_budget import AT_LIMIT, Wanted, preview_budget
from flows.costs.budgets import gauges, history_of, overshoot, proposed, stuck_holds
from flows.engine.durations import Duration
from flows.models import Budget
from flows.models.budgets import PERIODS, SCOPES
from flows.runs.actions.change_budget import change_budget, drop_budget
from flows.runs.actions.release_hold import release_hold
from flows.runs.limits import limits_of_flows

DOES = {
    "stop": "stops the run before the call",
    "pause": "asks: raise, cheaper, finish or stop",
    "cheaper": "tries cheaper candidates, then stops",
    "finish": "ends with what there is",
    "notify": "only notes it",
}


@require_safe
@login_required
def budgets(request: Any) -> HttpResponse:
    """All budgets with their meters. Raises `Forbidden` without the right to see costs anywhere."""
    actor: Actor = request.actor
    require_somewhere(actor, Right.SEE_COSTS)
    risky = request.GET.get("status") == "at-risk"
    found = [(gauge, DOES[gauge.budget.at_limit]) for gauge in gauges() if gauge.at_risk or not risky]
    may_manage = actor.may(Right.MANAGE_BUDGETS)
    context = {
        "gauges": [each for each in found if each[0].budget.period != "run"],
        "of_runs": [each for each in found if each[0].budget.period == "run"],
        "risky": risky,
        "may_manage": may_manage,
        "stuck": stuck_holds() if may_manage else [],
        "overshoot": overshoot(),
        "own": [] if risky else limits_of_flows(actor),
        "proposed": proposed() if may_manage and not found and not risky else None,
    }
    return render(request, "budgets/list.html", context)


@require_POST
@login_required
def release(request: Any, hold_id: int) -> HttpResponse:
    """Ends a hold that is stuck. Raises `Forbidden`, `NotFound`, `StillHeld`, `Invalid`."""
    hold = release_hold(request.actor, hold_id, request.POST.get("reason", ""))
    request.toast(f"Released what was held in the budget {hold.period.budget.name}.")
    return redirect("budgets")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def budget(request: Any) -> HttpResponse:
    """The form of one budget: what it would have done last month, and its history. Raises `Forbidden`."""
    actor: Actor = request.actor
    require(actor, Right.MANAGE_BUDGETS)
    given = request.POST if request.method == "POST" else request.GET
    old = Budget.objects.filter(**{name: given.get(name, "") for name in ("scope", "subject", "period")}).first()
    problems: list[Fault] = []
    preview: int | None = None
    if request.method == "POST":
        try:
            if given.get("act") == "remove" and old is not None:
                drop_budget(actor, old.id, given.get("reason", ""))
                request.toast(f"The budget {old.name} is removed.")
                return redirect("budgets")
            wanted = _wanted(given)
            if given.get("act") == "preview":
                preview = preview_budget(actor, wanted)
            else:
                kept, _ = change_budget(actor, wanted, given.get("reason", ""))
                request.toast(f"The budget {kept.name} holds.")
                return redirect("budgets")
        except Invalid as refusal:
            problems = [*refusal.problems]
    context = {
        "values": given if request.method == "POST" or old is None else _values(old),
        "old": old,
        "history": history_of(old) if old is not None else [],
        "scopes": SCOPES,
        "periods": PERIODS,
        "choices": [(each, DOES[each]) for each in AT_LIMIT],
        "problems": problems,
        "preview": preview,
        "zone": the_installation().zone,
    }
    return render(request, "budgets/edit.html", context, status=422 if problems else 200)


def _wanted(given: Any) -> Wanted:
    faults: list[Fault] = []
    amounts: dict[str, Decimal | None] = {}
    for name in ("cost", "tokens", "calls", "steps"):
        text = the_installation().without_currency(given.get(name, "").replace(",", ""))
        try:
            amounts[name] = Decimal(text) if text else None
        except InvalidOperation:
            amounts[name] = None
            faults.append(Fault(name, f"{text[:40]!r} is no number", "Write 120.00."))
    counts = {}
    for name in ("tokens", "calls", "steps"):
        amount = amounts[name]
        if amount is not None and (not amount.is_finite() or amount != int(amount)):
            faults.append(Fault(name, f"{amount} is no whole number"))
        else:
            counts[name] = None if amount is None else int(amount)
    try:
        duration = int(Duration(given["duration"].strip()).seconds) if given.get("duration", "").strip() else None
    except ValueError as error:
        duration = None
        faults.append(Fault("duration", str(error), "Write 30m, 4h or 2d."))
    warn = [each.strip().removesuffix("%").strip() for each in given.get("warn", "").split(",") if each.strip()]
    if any(not (each.isascii() and each.isdigit() and len(each) < 4) for each in warn):
        faults.append(Fault("warn", "shares are whole percents", "Write 50, 80."))
    if faults:
        raise Invalid("The budget cannot be used.", problems=faults)
    scope, subject, period, zone = (given.get(name, "").strip() for name in ("scope", "subject", "period", "zone"))
    shares = tuple(map(int, warn))
    at_limit = given.get("at_limit", "stop")
    return Wanted(scope, subject, period, amounts["cost"], **counts, at_limit=at_limit, warn=shares, zone=zone, duration=duration)


def _values(old: Budget) -> dict[str, Any]:
    return {
        "scope": old.scope,
        "subject": old.subject,
        "period": old.period,
        "zone": old.zone,
        "cost": "" if old.cost is None else f"{old.cost.normalize():f}",
        "tokens": old.tokens or "",
        "calls": old.calls or "",
        "steps": old.steps or "",
        "duration": "" if old.duration is None else f"{old.duration}s",
        "at_limit": old.at_limit,
        "warn": ", ".join(map(str, old.warn)),
    }
