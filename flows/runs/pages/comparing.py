"""``/runs/compare?a=&b=``: two runs side by side; with one of them, the runs to choose the other from."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.rights import Right
from flows.runs.comparing import candidates, compare, lasted
from flows.runs.reads import run_named


@require_safe
@login_required
def comparison(request: Any) -> HttpResponse:
    """The comparison, or the choice of the other run. ``only=all`` shows the steps that are alike, too. Raises `NotFound`."""
    actor: Actor = request.actor
    given = [request.GET.get(side, "") for side in ("a", "b")]
    runs = [run_named(actor, name) for name in given if name]
    if len(runs) < len(given):
        known = runs[0] if runs else None
        others = candidates(runs_for(actor), known) if known is not None else []
        choices = [(each, _address(known.public_id, each.public_id)) for each in others] if known is not None else []
        return render(request, "runs/compare_choice.html", {"run": known, "choices": choices})
    a, b = runs
    everything = request.GET.get("only") == "all"
    found = compare(a, b)
    context = {
        "found": found,
        "sides": [("A", a, lasted(a)), ("B", b, lasted(b))],
        "rows": [row for row in found.rows if everything or row.parts],
        "everything": everything,
        "swapped": _address(b.public_id, a.public_id, everything),
        "other_way": _address(a.public_id, b.public_id, not everything),
        "choose": f"{reverse('run-comparison')}?{urlencode({'a': a.public_id})}",
        "sees_costs": all(actor.may(Right.SEE_COSTS, run.flow.team_id) for run in runs),
    }
    return render(request, "runs/compare.html", context)


def _address(a: str, b: str, everything: bool = False) -> str:
    return f"{reverse('run-comparison')}?{urlencode({'a': a, 'b': b, **({'only': 'all'} if everything else {})})}"
