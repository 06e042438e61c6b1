"""``/runs/<run>/retry``: what a retry would reuse and do again, and doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from flows.access.refusals import Conflict, Invalid, NotFound, Refusal
from flows.access.rights import Right, require
from flows.engine.courses import in_handler
from flows.models import Run
from flows.models.identifiers import new_id
from flows.runs.actions.repeat_run import LIVE, is_other_version, repeat_run
from flows.runs.actions.retry_run import retry_run
from flows.runs.courses import place_in_run
from flows.runs.previews import preview_retry
from flows.runs.progress import progress_of
from flows.runs.reads import run_named

LONGEST_KEY = 64  # characters of a form's token


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: from which step (None: from where it failed), which version (None: the run's own), and what the person
    looked at: the pass, and the token of the form, by which it does its work once."""

    from_step: str | None
    version: str | None
    seen_pass: int | None
    key: str


def wanted_by(query: QueryDict) -> Wanted:
    seen, key = query.get("pass", ""), query.get("key", "")
    return Wanted(
        from_step=query.get("from", "")[:400] or None,
        version=LIVE if query.get("version") == LIVE else None,
        seen_pass=int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 6 else None,
        key=key if key.isalnum() and len(key) <= LONGEST_KEY else new_id().hex,
    )


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def retry(request: Any, run_id: str) -> HttpResponse:
    """Shows what would happen, and does it. Where the run moved on meanwhile, the page says what happened. Raises `NotFound`,
    `Forbidden`."""
    run = run_named(request.actor, run_id)
    require(request.actor, Right.CONTROL_RUNS, run)
    if request.method != "POST":
        return shown(request, run, wanted_by(request.GET))
    wanted = wanted_by(request.POST)
    try:
        if is_other_version(run, wanted.version):
            again = repeat_run(request.actor, run, version=wanted.version, from_step=wanted.from_step, key=f"form-{wanted.key}")
            request.toast(f"Run #{again.number} repeats run #{run.number} on v{again.version.number}.")
        else:
            again = retry_run(request.actor, run, wanted.from_step, seen_pass=wanted.seen_pass)
            request.toast(f"Pass {again.pass_number} of run #{run.number} has begun.")
    except (Conflict, Invalid) as refusal:
        return shown(request, run_named(request.actor, run_id), wanted, refusal)
    return redirect("run", again.public_id)


def shown(request: Any, run: Run, wanted: Wanted, refused: Refusal | None = None) -> HttpResponse:
    """The page. What makes the retry impossible as it is chosen stands in the place of the preview."""
    preview = None
    undecided = run.status == "succeeded" and wanted.from_step is None and wanted.version is None
    try:
        if not undecided:
            preview = preview_retry(request.actor, run, wanted.from_step, version=wanted.version)
    except (Conflict, Invalid, NotFound) as refusal:
        refused = refused or refusal
    live = run.flow.published
    context = {
        "run": run,
        "doing": "Retry",
        "wanted": wanted,
        "steps": _steps(run, wanted.from_step),
        "live": live if live is not None and live.id != run.version_id else None,
        "preview": preview,
        "undecided": undecided,
        "refused": refused,
    }
    return render(request, "runs/retry.html", context, status=refused.status if refused is not None else 200)


def _steps(run: Run, chosen: str | None) -> list[tuple[str, str]]:
    """The steps from which it can begin, by path: those of the flow itself that have begun, and the chosen one inside them."""
    lines = progress_of([run])[run.id]
    begun = [(each.path, each.name) for each in lines if each.state not in {"queued", "skipped"} and not in_handler(each.path)]
    if chosen and chosen not in dict(begun) and place_in_run(run, chosen) is not None:
        begun.append((chosen, chosen))
    return begun
