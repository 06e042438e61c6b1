"""Deciding many at once: first a table of all of them with what is unusual, then one confirmation with their number."""

from __future__ import annotations

from statistics import median
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from approvals.actions.decide_many import Chosen, decide_many, refuse_unless_alike
from approvals.rules import mask_of_request, meaning_of
from flows.access.querysets import requests_for
from flows.access.refusals import Fault, Invalid
from flows.models import Request
from flows.models.identifiers import UnknownIdentifier, parsed

UNUSUAL = 2.0  # times the median of the field


@require_POST
@login_required
def many(request: Any) -> HttpResponse:
    """Asks with a table, then, once the number is confirmed, decides each and says what became of it."""
    items = request.POST.getlist("item")[:200]
    outcome, comment = request.POST.get("outcome", ""), request.POST.get("comment", "")
    chosen = [each for each in map(_chosen, items) if each is not None]
    found = {
        each.id: each
        for each in requests_for(request.actor).filter(id__in=[one.id for one in chosen]).select_related("run__flow", "flow")
    }
    requests = [found[one.id] for one in chosen if one.id in found]
    context: dict[str, Any] = {"items": items, "outcome": outcome, "comment": comment, "requests": requests}
    context["chosen"] = [{"id": f"req_{each.id.hex}", "revision": each.revision} for each in chosen]
    context["back"] = QueryDict(request.POST.get("back", "")[:1000]).urlencode()  # the list that they were chosen from
    try:
        refuse_unless_alike(requests, asked_for=len(items))
        meaning_of(requests[0], outcome)
        if "confirm" in request.POST:
            if request.POST["confirm"].strip() != str(len(requests)):
                fault = Fault("confirm", f"is not {len(requests)}", "Type how many you decide on.")
                raise Invalid("The number has to be confirmed.", problems=[fault])
            results = decide_many(request.actor, chosen, outcome, comment)
            done = sum(result.refusal is None for result in results)
            failed = [(found[result.id], result.refusal) for result in results if result.refusal is not None]
            if not failed:
                request.toast(f"{done} decided: {outcome}.")
                return redirect(f"{reverse('approvals')}{'?' if context['back'] else ''}{context['back']}")
            return render(request, "approvals/bulk.html", {"done": done, "failed": failed, "outcome": outcome}, status=207)
    except Invalid as refusal:
        if any(fault.place != "confirm" for fault in refusal.problems):
            return render(request, "approvals/bulk.html", context | {"refusal": refusal}, status=422)
        return render(request, "approvals/bulk.html", context | {"refusal": refusal, "table": table_of(requests)}, status=422)
    return render(request, "approvals/bulk.html", context | {"table": table_of(requests)})


def table_of(requests: list[Request]) -> dict[str, Any]:
    """The key fields of each, with what is unusual among them marked: numbers far from their median."""
    payloads = [mask_of_request(each).read(each.payload) for each in requests]
    payloads = [each if isinstance(each, dict) else {"value": each} for each in payloads]
    names = list(
        dict.fromkeys(name for payload in payloads for name, value in payload.items() if not isinstance(value, (dict, list)))
    )[:4]
    middle = {}
    for name in names:
        numbers = [payload[name] for payload in payloads if _is_number(payload.get(name))]
        if len(numbers) >= 3:
            middle[name] = median(numbers)
    rows = []
    for each, payload in zip(requests, payloads, strict=True):
        cells = [
            {"name": name, "text": str(payload.get(name, ""))[:80], "unusual": _is_unusual(payload.get(name), middle.get(name))}
            for name in names
        ]
        rows.append({"request": each, "cells": cells, "unusual": any(cell["unusual"] for cell in cells)})
    return {"names": names, "rows": rows}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_unusual(value: Any, middle: Any) -> bool:
    if not _is_number(value) or middle is None:
        return False
    return abs(value) > UNUSUAL * abs(middle) or abs(value) * UNUSUAL < abs(middle)


def _chosen(item: str) -> Chosen | None:
    identifier, _, revision = item.partition(":")
    try:
        return Chosen(parsed("req", identifier), int(revision)) if revision.isdecimal() and len(revision) < 10 else None
    except UnknownIdentifier:
        return None
