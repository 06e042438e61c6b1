"""The canvas and the outline alone, with a sample document: for those who build pages, and for the tests that look at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.refusals import NotFound
from flows.engine.document import parse_document
from orchestrator.catalogue import step_kinds
from orchestrator.pages.components import may_look
from orchestrator.pages.samples import OFFERED, empty, nested, wide
from orchestrator.pages.shell import Shell

FLOWS = Path(__file__).parents[1] / "demo_flows"


@require_safe
@login_required
def canvas(request: HttpRequest) -> HttpResponse:
    """`?flow=` names the sample, `readonly=1` shows it as runs do."""
    may_look(request)
    sample = SAMPLES.get(request.GET.get("flow", "refund"))
    if sample is None:
        raise NotFound("sample of this name")
    return render(
        request,
        "pages/canvas.html",
        {
            "shell": Shell(request),
            "document": sample(),
            "catalogue": {"kinds": kinds()},
            "readonly": "readonly" in request.GET,
        },
    )


def kinds() -> list[dict[str, Any]]:
    """The kinds of this installation as the canvas wants them."""
    return [
        {"slug": slug, "label": kind.label, "group": "Logic", "ports": ["done"], "defaults": {}, **OFFERED.get(slug, {})}
        for slug, kind in step_kinds().items()
    ]


def demo(name: str) -> Callable[[], dict[str, Any]]:
    return lambda: parse_document((FLOWS / f"{name}.yaml").read_bytes()).as_json()


SAMPLES: dict[str, Callable[[], dict[str, Any]]] = {
    "refund": demo("refund_decision"),
    "contract": demo("contract_check"),
    "empty": empty,
    "nested": nested,
    "wide": wide,
}
