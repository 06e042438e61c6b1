"""``/runs/<run>/limits``: raising a run's limits, so that it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.installation import the_installation
from flows.access.refusals import Conflict, Fault, Forbidden, Invalid
from flows.access.rights import Right
from flows.models import Run
from flows.runs.actions.raise_limits import LONGEST_REASON, raise_limits
from flows.runs.limits import COLUMNS, ceiling_of, in_words, require_raise
from flows.runs.reads import run_named

LABELS = {"cost": "Cost", "tokens": "Tokens", "steps": "Steps"}


@dataclass(frozen=True, slots=True)
class Line:
    """One limit of the run: what it is, what of it is used, and how far the flow allows to raise it."""

    name: str
    label: str
    now: str
    used: str
    ceiling: str
    value: str
    error: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def limits(request: Any, run_id: str) -> HttpResponse:
    """Shows the limits, and raises those that were given another amount. Raises `NotFound`, `Forbidden`."""
    run = run_named(request.actor, run_id)
    require_raise(request.actor, run, {})
    refused: Conflict | Forbidden | None = None
    faults: tuple[Fault, ...] = ()
    if request.method == "POST":
        typed = {name: the_installation().without_currency(request.POST.get(name, "")) for name in COLUMNS}
        try:
            raised = raise_limits(
                request.actor,
                run,
                {name: _amount(name, text) for name, text in typed.items() if text},
                reason=request.POST.get("reason", "").strip(),
            )
        except Invalid as refusal:
            faults = refusal.problems
        except (Conflict, Forbidden) as refusal:
            refused = refusal
        else:
            request.toast(f"The limits of run #{run.number} are raised.")
            return redirect("run", raised.public_id)
        run = run_named(request.actor, run_id)
    context = {
        "run": run,
        "doing": "Raise limits",
        "lines": _lines(run, request.POST, faults),
        "others": [fault for fault in faults if _field_of(fault) not in _named(run)],
        "refused": refused,
        "reason": request.POST.get("reason", ""),
        "longest": LONGEST_REASON,
        "raises_freely": request.actor.may(Right.RAISE_LIMITS, run.flow.team_id),
        "own": run.started_by_id == request.actor.person.id,
    }
    return render(request, "runs/limits.html", context, status=refused.status if refused else 422 if faults else 200)


def _amount(name: str, text: str) -> Any:
    """Tokens and steps as numbers; what is none is left to the verb, which says what is wrong with it."""
    plain = text.replace(",", "")
    return int(plain) if name != "cost" and plain.isascii() and plain.isdecimal() and len(plain) < 19 else text


def _named(run: Run) -> list[str]:
    """The limits that the run has."""
    return [name for name, column in COLUMNS.items() if getattr(run, column) is not None]


def _field_of(fault: Fault) -> str:
    return fault.place.removeprefix("limits.")


def _lines(run: Run, typed: Any, faults: tuple[Fault, ...]) -> list[Line]:
    ceiling = ceiling_of(run)
    used = {"cost": run.spent + run.reserved, "tokens": run.spent_tokens + run.reserved_tokens, "steps": run.steps}
    wrong = {_field_of(fault): f"{fault.message[:1].upper()}{fault.message[1:]}. {fault.mend}".strip() for fault in faults}
    return [
        Line(
            name=name,
            label=LABELS[name],
            now=in_words(name, getattr(run, COLUMNS[name])),
            used=in_words(name, used[name]),
            ceiling=in_words(name, ceiling[name]) if name in ceiling else "",
            value=typed.get(name, ""),
            error=wrong.get(name, ""),
        )
        for name in _named(run)
    ]
