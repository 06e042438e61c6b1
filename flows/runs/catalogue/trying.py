"""``/routes/<route>/trials``: what one prompt would cost on a route, and asking it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from flows.access.installation import the_installation
from flows.access.refusals import Fault, Invalid
from flows.runs.actions.try_route import TrialCost, cost_of_trial, try_route
from flows.runs.catalogue.views import shown_route

ABSENT: Final = {"prompt": "", "max_output": "500", "ceiling": "", "models": "real"}


@require_POST
@login_required
def trials(request: Any, route: str) -> HttpResponse:
    """Asks the route one prompt and leads to the run, where its text streams; with ``act=cost`` only says what it can cost. What was
    typed stays in the form."""
    given = {name: request.POST.get(name, absent) for name, absent in ABSENT.items()}
    expected: TrialCost | None = None
    refusal: Invalid | None = None
    try:
        ceiling, length, simulate = _dollars(given["ceiling"]), _whole(given["max_output"]), given["models"] == "simulated"
        if request.POST.get("act") == "cost":
            expected = cost_of_trial(request.actor, route, given["prompt"], max_output=length, simulate=simulate)
        else:
            run = try_route(request.actor, route, given["prompt"], max_output=length, ceiling=ceiling, simulate=simulate)
            return redirect("run", run.public_id)
    except Invalid as found:
        refusal = found
    return shown_route(request, route, trial=given, expected=expected, refusal=refusal)


def _whole(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _dollars(text: str) -> Decimal | None:
    """None where nothing was typed. Raises `Invalid`."""
    text = the_installation().without_currency(text)
    try:
        dollars = Decimal(text) if text else None
    except InvalidOperation:
        dollars = Decimal("NaN")
    if dollars is not None and not dollars.is_finite():
        fault = Fault("ceiling", f"`{text[:20]}` is no amount of money", "Write such as 0.50, or nothing.")
        raise Invalid("The prompt was not sent.", problems=[fault])
    return dollars
