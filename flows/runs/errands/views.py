"""``/errands``: the long work that one has asked for, how far each is, what was left out, and the files that they made."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from flows.access.refusals import NotFound
from flows.execution.errands import errand_of
from flows.models import Errand
from flows.models.identifiers import UnknownIdentifier, parsed
from flows.runs.exports import as_file

MOST = 100


@require_safe
@login_required
def errands(request: Any) -> HttpResponse:
    """One's own, the newest first; with ``part`` the region that changes."""
    mine = Errand.objects.filter(by=request.actor.person).order_by("-begun_at").defer("about", "left")[:MOST]
    return render(request, "errands/_list.html" if "part" in request.GET else "errands/list.html", {"errands": mine})


@require_safe
@login_required
def errand_page(request: Any, errand_id: str) -> HttpResponse:
    """How far it is; with ``part`` the region that changes. Raises `NotFound`."""
    errand = _named(request, errand_id)
    context = {"errand": errand, "has_file": errand.ended_at is not None and errand.pieces.exists()}
    return render(request, "errands/_errand.html" if "part" in request.GET else "errands/detail.html", context)


@require_safe
@login_required
def in_header(request: Any) -> HttpResponse:
    """What the header says of it now."""
    return render(request, "shell/errand.html", {"errand": errand_of(request.actor.person)})


@require_safe
@login_required
def file(request: Any, errand_id: str) -> StreamingHttpResponse:
    """What it wrote, for a day. Raises `NotFound`."""
    errand = _named(request, errand_id)
    if errand.ended_at is None or not errand.pieces.exists():
        raise NotFound("file of this errand: it is kept for a day")
    return as_file(_unpacked(errand), str(errand.about["form"]), "runs")


async def _unpacked(errand: Errand) -> AsyncIterator[bytes]:
    async for content in errand.pieces.order_by("n").values_list("content", flat=True).aiterator(chunk_size=10):
        yield gzip.decompress(content)


def _named(request: Any, errand_id: str) -> Errand:
    try:
        found = Errand.objects.filter(by=request.actor.person, id=parsed("ern", errand_id)).first()
    except UnknownIdentifier:
        found = None
    if found is None:
        raise NotFound("errand")
    return found
