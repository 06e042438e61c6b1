"""``/costs/calls/<call>``: the receipt of one call."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from flows.access.masking import mask_of
from flows.access.refusals import NotFound
from flows.costs.budgets import budgets_of
from flows.models import Call
from flows.models.identifiers import shown
from flows.runs.documents import documents_of
from flows.runs.inspection import CallView, step_at, subflows_around
from flows.runs.receipts import asked_words, call_named, raw_usage_of, receipt_of


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
        "has_usage": raw_usage_of(call) is not None,
    }
    return render(request, "costs/receipt.html", context)


@require_safe
@login_required
def raw_usage(request: Any, call_id: str) -> HttpResponse:
    """``/costs/calls/<call>/usage.json``: a file of what the provider sent of the usage. Raises `NotFound`, also where there is nothing
    of it (any more), and `Forbidden` as the receipt does."""
    call = call_named(request.actor, call_id)
    usage = raw_usage_of(call)
    if usage is None:
        raise NotFound("usage")
    facts = {"call": shown("call", call.id), "model": call.target, "provider_id": call.provider_id, "usage": usage}
    answer = JsonResponse(facts, json_dumps_params={"indent": 2})
    answer["Content-Disposition"] = f'attachment; filename="{facts["call"]}-usage.json"'
    return answer
