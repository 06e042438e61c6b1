"""``/runs/bulk``: one verb for the chosen runs, asked for and then done; ``/runs/export.csv`` and ``.json``: the list as a file.

What takes long is an errand: `AT_ONCE` runs are acted on while one waits, more by a worker, and a longer list than `SENT_AT_ONCE`
is written by one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from flows.access.actor import Actor
from flows.access.refusals import Refusal
from flows.access.rights import Right, require
from flows.models import Run
from flows.models.identifiers import new_id
from flows.runs.actions.control_many import MOST, Line, control_many, preview_many
from flows.runs.actions.tag_run import tag_run
from flows.runs.errands.carrying import begin_export, begin_many
from flows.runs.exports import download
from flows.runs.listing import identified, matching, wanted_by
from flows.runs.previews import cost_of_many
from flows.runs.reads import runs_named
from flows.runs.rowsoffile import row_of

AT_ONCE = 25
SENT_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Verb:
    """One of the bar's verbs in words. `text` says what will happen to each run."""

    label: str
    text: str
    done: str
    counted: bool = False  # it cannot be undone: the number of runs is typed


VERBS: Mapping[str, Verb] = {
    "retry": Verb("Retry", "Each begins another pass from where it failed; what succeeded is not done again.", "retried"),
    "repeat": Verb("Re-run", "For each a new run with the same version and input begins, linked to it.", "started again"),
    "cancel": Verb(
        "Cancel",
        "What is in progress is told to stop and nothing new begins. Open requests are withdrawn. What was sent cannot be taken back.",
        "cancelled",
        counted=True,
    ),
}


@login_required
@require_POST
def bulk(request: Any) -> HttpResponse:
    """Asks with what the verb would do to each run, and does it to those that are eligible. Raises `Forbidden`,
    `Invalid`, `NotFound`."""
    actor: Actor = request.actor
    require(actor, Right.CONTROL_RUNS)
    back = f"{reverse('runs')}{'?' if request.POST.get('back') else ''}{request.POST.get('back', '')}"
    act = request.POST.get("act", "")
    runs = _chosen(request)
    if not runs or act not in {*VERBS, "tag", "compare", "csv", "json"}:
        request.toast("Choose runs first.")
        return redirect(back)
    if act == "compare":
        if len(runs) != 2:
            request.toast("Choose exactly two runs to compare.")
            return redirect(back)
        return redirect(f"{reverse('run-comparison')}?a={runs[0].public_id}&b={runs[1].public_id}")
    if act in {"csv", "json"} and "matching" in request.POST:
        return redirect(f"{reverse(f'runs-{act}')}?{request.POST['matching']}")
    if act in {"csv", "json"}:
        query = QueryDict(mutable=True)
        query["rows"] = ",".join(run.id.hex for run in runs)
        return redirect(f"{reverse(f'runs-{act}')}?{query.urlencode(safe=',')}")
    if act == "tag":
        return _tagged(request, runs, back)
    asked = {"verb": VERBS[act], "act": act, "back": request.POST.get("back", ""), "key": request.POST.get("key") or new_id().hex}
    asked["chosen"] = [run.public_id for run in runs]  # of the command beside the button
    if "confirmed" not in request.POST:
        return render(request, "runs/bulk.html", asked | _previewed(actor, act, runs))
    if VERBS[act].counted and request.POST.get("count", "").strip() != str(len(runs)):
        wrong = f"Type {len(runs)} to go on: so many runs will be cancelled."
        return render(request, "runs/bulk.html", asked | _previewed(actor, act, runs) | {"wrong": wrong}, status=422)
    if len(runs) > AT_ONCE:
        title = f"{VERBS[act].label} {len(runs):,} runs"
        return redirect("errand", begin_many(request.user, act, title, runs, key=f"bulk-{asked['key'][:40]}").public_id)
    lines = control_many(actor, act, runs, key=f"bulk-{asked['key'][:40]}")
    done = sum(line.refusal is None for line in lines)
    words = f"{done} run{'' if done == 1 else 's'} {VERBS[act].done}."
    if done < len(lines):
        return render(request, "runs/bulk.html", asked | {"lines": lines, "over": words}, status=409)
    request.toast(words)
    return redirect(back)


def _chosen(request: Any) -> list[Run]:
    """The runs that were ticked; with ``matching`` those that the list shows at this address, the newest first."""
    if "matching" in request.POST:
        return list(matching(request.actor, wanted_by(QueryDict(request.POST["matching"])))[:MOST])
    return runs_named(request.actor, request.POST.getlist("run")[:MOST])


def _previewed(actor: Actor, act: str, runs: list[Run]) -> dict[str, Any]:
    lines = preview_many(actor, act, runs)
    eligible = [line.run for line in lines if line.refusal is None]
    cost = cost_of_many(actor, act, eligible) if actor.holdings.allow(Right.SEE_COSTS) else None
    return {"lines": lines, "eligible": len(eligible), "cost": cost}


def _tagged(request: Any, runs: list[Run], back: str) -> HttpResponse:
    tag = " ".join(request.POST.get("tag", "").split())
    if len(runs) > AT_ONCE:
        title = f"Tag {len(runs):,} runs {tag[:60]!r}"
        return redirect("errand", begin_many(request.user, "tag", title, runs, key=f"tag-{new_id().hex}", tag=tag).public_id)
    lines = []
    for run in runs:
        try:
            lines.append(Line(tag_run(request.actor, run, tag)))
        except Refusal as refusal:
            lines.append(Line(run, refusal))
    refused = [line for line in lines if line.refusal is not None]
    done = len(lines) - len(refused)
    words = f"{done} run{'' if done == 1 else 's'} tagged."
    if refused and refused[0].refusal is not None:
        why = refused[0].refusal
        words += f" Not #{refused[0].run.number}: {why.problems[0].message if why.problems else why.message}"
    request.toast(words)
    return redirect(back)


@login_required
@require_POST
def exports(request: Any) -> HttpResponse:
    """The list at the address ``query`` as a file of this ``form``: at once, or, where it is long, from a worker."""
    form = "json" if request.POST.get("form") == "json" else "csv"
    query = request.POST.get("query", "")
    runs = matching(request.actor, wanted_by(QueryDict(query))).order_by().count()
    if runs <= SENT_AT_ONCE:
        return redirect(f"{reverse(f'runs-{form}')}?{query}")
    return redirect("errand", begin_export(request.user, form, query, runs).public_id)


@login_required
@require_safe
def export(request: Any, form: str) -> StreamingHttpResponse:
    """The runs that match the list's filters, or those that ``rows`` names, with exact costs and the names of states that machines
    use."""
    actor: Actor = request.actor
    runs = matching(actor, wanted_by(request.GET))
    if "rows" in request.GET:
        runs = identified(runs, request.GET["rows"].split(","))
    return download(_lines(actor, runs), form, "runs")


async def _lines(actor: Actor, runs: Any) -> AsyncIterator[dict[str, Any]]:
    async for run in runs.aiterator(chunk_size=1000):
        yield await sync_to_async(row_of)(actor, run)
