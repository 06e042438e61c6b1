"""``/knowledge/<base>/trials``: asking a knowledge base by hand, with what its model makes of the question."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from flows.retrieval.reads import base_named
from flows.runs.actions.try_search import try_search


@require_POST
@login_required
def trials(request: Any, slug: str) -> HttpResponse:
    """Asks, and goes back to the base's page, which shows what was found. Raises `Forbidden`, `NotFound`, `Invalid`."""
    question = request.POST.get("q", "").strip()
    run = try_search(request.actor, base_named(request.actor, slug), question)
    return redirect(f"{reverse('knowledge-base', args=[slug])}?{urlencode({'q': question, 'trial': run.public_id})}")
