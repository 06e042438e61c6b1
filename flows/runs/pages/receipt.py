"""``/costs/calls/<call>``: the receipt of one call."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from flows.access.masking import mask_of
from flows.costs.budgets import budgets_of
from flows.models import Call
from flows.runs.documents import documents_of
from flows.runs.inspection import CallView, step_at, subflows_around
from flows.runs.receipts import asked_words, call_named, receipt_of


@require_safe
@login_required
def receipt(request: Any, call_id: str) -> HttpResponse:
    """Tokens times prices. Raises `NotFound`, and `Forbidden` where the person may see the run, not what it costs."""
    call = call_named(request.actor, call_id)
    call.error_message = mask_of(call.run).text(call.error_message)
    document = documents_of([call.run.version_id]).get(call.run.version_id)
    beside = Call.objects.filter(run_id=call.run_id, pass_number=call.pass_number, path=call.path).defer("request", "response")
    chosen = {"step": call.path, "attempt": call.attempt, "pass": call.pass_number}
    calls = list(beside.order_by("attempt", "n")[:50])
    context = {
        "receipt": receipt_of(call),
        "asked": asked_words(call, calls),
        "budgets": budgets_of(call),
        "call": call,
        "run": call.run,
        "step": step_at(
            document, call.path, subflows_around(call.run, call.pass_number, call.path) if "/" in call.path else None
        ),
        "own": CallView(call),
        "step_url": f"{reverse('run', args=[call.run.public_id])}?{urlencode(chosen, safe='[]')}",
        "beside": [CallView(each) for each in calls],
    }
    return render(request, "costs/receipt.html", context)
