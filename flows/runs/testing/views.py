"""The tab Test of the builder's dock: its form, the tests that it starts, what they ask, and pins."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flows.access.masking import mask_of
from flows.access.querysets import runs_for
from flows.access.refusals import Conflict, NotFound, Refusal
from flows.access.rights import Right, require
from flows.engine.examples import example_of
from flows.models import Flow, Pin, Run
from flows.runs.actions.answer_test import answer_test
from flows.runs.actions.pin_output import flow_to_test, pin_output, unpin_output
from flows.runs.actions.start_test import start_test
from flows.runs.reads import run_named, value_of
from flows.runs.starting.form import RunForm
from flows.runs.starting.parts import MISSING
from flows.runs.testing.extents import draft_of, extents_of, has_real_models, tools_written
from flows.runs.testing.results import result_of
from flows.runs.testing.standins import results_of


@login_required
@require_http_methods(["GET", "POST"])
def tests(request: Any, slug: str) -> HttpResponse:
    """GET: the form, filled with the last input. POST: starts a test; answers with its result, or with the form and what is wrong."""
    flow = _flow(request, slug)
    schema = _schema(flow)
    if request.method == "GET":
        return _form(request, flow, RunForm(schema, [], given=_last_input(request, flow, schema)))
    form = RunForm(schema, [], tab=request.POST.get("tab", "form"), data=request.POST, files=request.FILES)
    if not form.is_valid():
        return _form(request, flow, form, status=422)
    post = request.POST
    try:
        run = start_test(
            request.actor,
            slug,
            form.input(),
            extent=post.get("extent", "draft"),
            step=post.get("step") or None,
            simulate=post.get("models") != "real",
            real_tools=post.getlist("real_tools"),
            decide=post.get("decide", "tester"),
            skip_waits=post.get("waits") != "wait",
        )
    except Refusal as refusal:
        if refusal.status in (403, 404):
            raise
        return render(request, "builder/_test_refused.html", {"refusal": refusal}, status=refusal.status)
    return _result(request, run, status=202)


@login_required
@require_GET
def extents(request: Any, slug: str) -> HttpResponse:
    """The buttons that start a test of the selected step, of what leads to it, and of the draft, each with its estimate."""
    flow = _flow(request, slug)
    simulate = request.GET.get("models") != "real"
    listed = extents_of(request.actor, flow, request.GET.get("step"), simulate=simulate)
    return render(request, "builder/_test_extents.html", {"extents": listed, "simulate": simulate, **_costs(request, flow)})


@login_required
@require_GET
def result(request: Any, slug: str, run_id: str) -> HttpResponse:
    """How far a test is."""
    return _result(request, _test(request, slug, run_id))


@login_required
@require_POST
def answers(request: Any, slug: str, run_id: str) -> HttpResponse:
    """Decides what the test asks: `path` and `outcome`."""
    run = _test(request, slug, run_id)
    answer_test(request.actor, run, request.POST.get("path", ""), request.POST.get("outcome", ""))
    return _result(request, run_named(request.actor, run_id))


@login_required
@require_POST
def pins(request: Any, slug: str) -> HttpResponse:
    """Pins the result of `step` that `run` gave, or `output` (JSON) where somebody has edited it; without either unpins it."""
    flow = _flow(request, slug)
    step, run_id, text = request.POST.get("step", ""), request.POST.get("run", ""), request.POST.get("output")
    refusal = None
    try:
        if not run_id:
            unpin_output(request.actor, slug, step)
        else:
            _pin(request, flow, step, _test(request, slug, run_id), text)
    except Refusal as why:
        if why.status in (403, 404):
            raise
        refusal = why
    except ValueError as error:
        refusal = NotJSON(str(error))
    if refusal is not None:
        return render(request, "builder/_test_refused.html", {"refusal": refusal}, status=refusal.status)
    return HttpResponse(status=204)


class NoTest(Conflict):
    """This run is none of the draft's tests. Look at it on its own page."""

    slug = "no-test"


class NotJSON(Refusal):
    """The output is no JSON. Nothing was pinned."""

    slug = "not-json"
    status = 422

    def __init__(self, why: str) -> None:
        super().__init__(f"The output is no JSON ({why[:120]}). Nothing was pinned.")


def _pin(request: Any, flow: Flow, step: str, run: Run, text: str | None) -> None:
    given = results_given(run, step)
    output, edited = (given.output, False) if text is None else (mask_of(run).restored(json.loads(text), given.output), True)
    pin_output(request.actor, flow.slug, step, output, port=given.port, state=dict(given.state or {}), edited=edited, run=run)


def results_given(run: Run, step: str) -> Any:
    """What a step of the test gave. Raises `NotFound`."""
    found = results_of(run, [step]).get(step)
    if found is None:
        raise NotFound("result of this step")
    return found


def _flow(request: Any, slug: str) -> Flow:
    flow = flow_to_test(request.actor, slug)
    require(request.actor, Right.EDIT_FLOWS, flow)
    return flow


def _test(request: Any, slug: str, run_id: str) -> Run:
    flow = _flow(request, slug)
    run = run_named(request.actor, run_id)
    if run.flow_id != flow.id:
        raise NotFound("test of this flow")
    if run.purpose != "test":
        raise NoTest
    return run


def _schema(flow: Flow) -> Any:
    schema = draft_of(flow).get("input")
    return schema if isinstance(schema, dict) else None


def _last_input(request: Any, flow: Flow, schema: Any) -> Any:
    """The input of the newest test, else of the newest run, else an example."""
    if request.actor.may(Right.SEE_RUNS, flow.team_id):
        runs = runs_for(request.actor).filter(flow=flow).order_by("-id")
        for purpose in ("test", "live"):
            run = runs.filter(purpose=purpose).only("input", "version_id", "purpose").first()
            if run is not None:
                return mask_of(run).without(value_of(run.input))
    return example_of(schema) if schema else MISSING


def _form(request: Any, flow: Flow, form: RunForm, status: int = 200) -> HttpResponse:
    chosen = request.POST if request.method == "POST" else {}
    may_publish = request.actor.may(Right.PUBLISH_FLOWS, flow.team_id) and not flow.needs_second
    context = {
        "flow": flow,
        "form": form,
        "tools": tools_written(flow) if may_publish else [],
        "real_models": has_real_models(),
        "models": chosen.get("models", "simulated"),
        "decide": chosen.get("decide", "tester"),
        "waits": chosen.get("waits", "skip"),
        "pins": list(Pin.objects.filter(flow=flow).order_by("path").values_list("path", flat=True)),
    }
    return render(request, "builder/_test_form.html", context, status=status)


def _result(request: Any, run: Run, status: int = 200) -> HttpResponse:
    return render(
        request,
        "builder/_test_result.html",
        {"result": result_of(run), "run": run, "flow": run.flow, **_costs(request, run.flow)},
        status=status,
    )


def _costs(request: Any, flow: Flow) -> dict[str, bool]:
    return {"sees_costs": request.actor.may(Right.SEE_COSTS, flow.team_id)}
