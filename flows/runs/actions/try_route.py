"""Trying a prompt on a route."""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.document import Limits, load_document
from flows.execution.handling import Handling
from flows.models import Flow, ModelEntry, Route, Run
from flows.runs.actions.start_test import tested_version
from flows.runs.beginning import begin_run, input_text, require_simulated_models

SLUG: Final = "_tried_prompts"
NAME: Final = "Prompts tried on routes"
LONGEST: Final = 100_000  # characters
MOST_OUTPUT: Final = 4096  # tokens


def try_route(
    actor: Actor, route: str, prompt: str, *, max_output: int = 500, simulate: bool = False, source: str = "page"
) -> Run:
    """Asks a route, or a model by its name, one prompt: a run of purpose `test` with one step, in the ledger like any other, whose text
    streams to its page. It belongs to a flow that is kept for this and starts nothing else. Raises `Forbidden`, `NotFound`, and
    `Invalid` naming each fault."""
    require(actor, Right.EDIT_ROUTES)
    if not (Route.objects.filter(slug=route[:80]).exists() or ModelEntry.objects.filter(slug=route[:80]).exists()):
        raise NotFound(f"route {route[:80]!r}")
    faults = []
    if not prompt.strip() or len(prompt) > LONGEST:
        faults.append(Fault("prompt", "is missing or too long", f"Write 1 to {LONGEST:,} characters."))
    if not 1 <= max_output <= MOST_OUTPUT:
        faults.append(Fault("max_output", f"{max_output} is no length", f"Give 1 to {MOST_OUTPUT} tokens."))
    if faults:
        raise Invalid("The prompt was not sent.", problems=faults)
    if simulate:
        require_simulated_models()
    document = load_document(_document(route, max_output))
    with transaction.atomic():
        flow, _ = Flow.objects.get_or_create(slug=SLUG, defaults={"name": NAME, "draft": "", "archived_at": timezone.now()})
        return begin_run(
            actor,
            flow,
            tested_version(actor, flow, document).id,
            input_text({"prompt": prompt}, document.input),
            document.limits or Limits(),
            source=source,
            handling=Handling(simulate=simulate),
            purpose="test",
        )


def _document(route: str, max_output: int) -> dict[str, Any]:
    return {
        "orchestrator": 1,
        "name": NAME,
        "input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
        "limits": {"duration": "10m"},
        "steps": {
            "answer": {"kind": "model", "with": {"route": route, "prompt": "{{ input.prompt }}", "max_output": max_output}}
        },
        "edges": ["start -> answer"],
        "output": "{{ steps.answer.output }}",
    }
