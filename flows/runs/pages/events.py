"""``/runs/<run>/events.jsonl``: all that happened in a run, one event a line, the oldest first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import StreamingHttpResponse
from django.views.decorators.http import require_safe

from flows.access.masking import mask_of
from flows.engine.masking import Mask
from flows.models import Event, Run
from flows.runs.exports import download
from flows.runs.reads import run_named


@login_required
@require_safe
def events(request: Any, run_id: str) -> StreamingHttpResponse:
    """The events as a file. Raises `NotFound`."""
    run = run_named(request.actor, run_id)
    return download(_lines(run, mask_of(run)), "json", f"run-{run.number}-events")


async def _lines(run: Run, mask: Mask) -> AsyncIterator[dict[str, Any]]:
    async for event in Event.objects.filter(run=run).order_by("seq").aiterator(chunk_size=2000):
        yield {
            "seq": event.seq,
            "at": event.at.isoformat(),
            "type": event.type,
            "pass": event.pass_number,
            "path": event.path,
            "data": mask.read(event.data),
        }
