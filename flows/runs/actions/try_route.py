"""Trying a prompt on a route."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.installation import money
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.costs.tokens import tokens_of_request
from flows.engine.document import Limits, load_document
from flows.execution.handling import Handling
from flows.models import Flow, ModelEntry, Route, Run
from flows.routing.choosing import Walk, Wanted
from flows.routing.table import current_table
from flows.runs.actions.start_test import tested_version
from flows.runs.beginning import begin_run, input_text, require_simulated_models

SLUG: Final = "_tried_prompts"
NAME: Final = "Prompts tried on routes"
LONGEST: Final = 100_000  # characters
MOST_OUTPUT: Final = 4096  # tokens
MOST_DOLLARS: Final = 100  # of a ceiling


@dataclass(frozen=True, slots=True)
class TrialCost:
    """What one prompt costs at most: with the model that is asked first, and, where others are asked after it, with the dearest of
    them. Dollars; None where a price is not known. `tokens` are those of the prompt, an upper estimate."""

    model: str
    tokens: int
    first: Decimal | None
    dearest: Decimal | None


def cost_of_trial(actor: Actor, route: str, prompt: str, *, max_output: int = 500, simulate: bool = False) -> TrialCost:
    """What `try_route` can cost, before anything is asked. Raises as it does."""
    _require_a_prompt(actor, route, prompt, max_output)
    table = current_table().simulated() if simulate else current_table()
    models = {model.slug: model for model in table.candidates(route)}
    wanted = Wanted(tokens_of_request([{"role": "user", "content": prompt}], None), max_output)
    walk = Walk(table.route(route), wanted, models, table.latencies)
    if not walk.order:
        raise Invalid("The prompt was not sent.", problems=[Fault("prompt", walk.nobody().message)])
    bounds = [wanted.bound(model) for model in walk.order]
    dearest = max((bound for bound in bounds if bound is not None), default=None) if None not in bounds else None
    return TrialCost(walk.order[0].slug, wanted.input_tokens, bounds[0], dearest)


def try_route(
    actor: Actor,
    route: str,
    prompt: str,
    *,
    max_output: int = 500,
    ceiling: Decimal | None = None,
    simulate: bool = False,
    source: str = "page",
) -> Run:
    """Asks a route, or a model by its name, one prompt: a run of purpose `test` with one step, in the ledger like any other, whose text
    streams to its page. It costs at most `ceiling` dollars, fallbacks included; where the first call could cost more it does not begin.
    It belongs to a flow that is kept for this and starts nothing else. Raises `Forbidden`, `NotFound`, and `Invalid` naming each
    fault."""
    expected = cost_of_trial(actor, route, prompt, max_output=max_output, simulate=simulate)
    faults = []
    if ceiling is not None and not 0 < ceiling <= MOST_DOLLARS:
        faults.append(Fault("ceiling", f"{ceiling} is no ceiling", f"Give an amount above 0, {MOST_DOLLARS} at most."))
    elif ceiling is not None and expected.first is None:
        mend = "Add a price for it to the price book, or try it without a ceiling."
        faults.append(Fault("ceiling", f"the price of {expected.model} is not known, so none can be held", mend))
    elif ceiling is not None and expected.first is not None and expected.first > ceiling:
        most, more = money(f"{expected.first.normalize():f}"), money(f"{ceiling.normalize():f}")
        message = f"{expected.model} can cost {most}, more than {more}"
        faults.append(Fault("ceiling", message, "Raise it, or ask for a shorter answer."))
    if faults:
        raise Invalid("The prompt was not sent.", problems=faults)
    if simulate:
        require_simulated_models()
    document = load_document(_document(route, max_output))
    limits = document.limits or Limits()
    with transaction.atomic():
        flow, _ = Flow.objects.get_or_create(slug=SLUG, defaults={"name": NAME, "draft": "", "archived_at": timezone.now()})
        return begin_run(
            actor,
            flow,
            tested_version(actor, flow, document).id,
            input_text({"prompt": prompt}, document.input),
            limits if ceiling is None else limits.model_copy(update={"cost": ceiling}),
            source=source,
            handling=Handling(simulate=simulate),
            purpose="test",
        )


def _require_a_prompt(actor: Actor, route: str, prompt: str, max_output: int) -> None:
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
