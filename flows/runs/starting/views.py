"""The run form of a flow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from flows.access.actor import Actor
from flows.access.curl import curl
from flows.access.masking import mask_of, masks_of
from flows.access.querysets import flows_for, runs_for
from flows.access.refusals import Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.document import FlowDocument, parse_document
from flows.engine.problems import DocumentError
from flows.models import Flow, FlowVersion, Run
from flows.models.identifiers import UnknownIdentifier, new_id, parsed
from flows.routing.expecting import Expectation, expected_cost
from flows.runs.actions.start_run import FlowArchived, FlowPaused, KeyReused, start_run
from flows.runs.actions.start_test import start_test
from flows.runs.beginning import Repeats
from flows.runs.documents import document_of
from flows.runs.reads import value_of
from flows.runs.starting.form import DRAFT, TABS, RunForm
from flows.runs.starting.parts import MISSING, Missing, as_json

MOST_VERSIONS = 100
MOST_RECENT = 10


@dataclass(frozen=True, slots=True)
class Ground:
    """What the form stands on: the flow, the version that is to run, its document, and the run that it is filled from."""

    actor: Actor
    flow: Flow
    versions: list[FlowVersion]
    chosen: FlowVersion
    document: FlowDocument
    source: Run | None
    note: str = ""
    offers_draft: bool = False

    @property
    def value(self) -> str:
        """How the form names what is chosen."""
        return str(self.chosen.number) if self.chosen.number is not None else DRAFT

    @property
    def highest(self) -> Decimal | None:
        return self.document.limits.cost if self.document.limits is not None else None

    @property
    def before(self) -> Any:
        return mask_of(self.source).without(value_of(self.source.input)) if self.source is not None else MISSING

    @property
    def expected(self) -> Expectation | None:
        """What a run of this version will probably cost."""
        return expected_cost(self.actor, self.flow, self.document)

    def form(self, **more: Any) -> RunForm:
        choices = [(str(each.number), self._name(each)) for each in self.versions]
        if self.offers_draft:
            choices.insert(1, (DRAFT, "draft, as a test"))
        return RunForm(self.document.input, choices, before=self.before, highest=self.highest, **more)

    def _name(self, version: FlowVersion) -> str:
        return f"v{version.number}, live" if version.id == self.flow.published_id else f"v{version.number}"


@login_required
@require_http_methods(["GET", "POST"])
def run_form(request: Any, slug: str) -> HttpResponse:
    """Shows the form; sent, it starts a run, shows the same as a command, or shows itself otherwise (`act`)."""
    flow = flow_of(request.actor, slug)
    require(request.actor, Right.START_RUNS, flow)
    posted = request.POST if request.method == "POST" else None
    ground = ground_of(request, flow, posted.get("version", "") if posted is not None else request.GET.get("version", ""))
    if ground is None:
        return render(request, "flows/not_published.html", {"flow": flow})
    tab = tab_of(request.GET.get("tab"))
    if posted is None:
        return shown(request, ground, blank(ground, tab))
    act, came = posted.get("act", "start"), tab_of(posted.get("tab", tab))
    shown_as = posted.get("of") or ground.value  # the version whose fields were typed into
    if act == "show" or shown_as != ground.value:
        typed = ground if shown_as == ground.value else ground_of(request, flow, shown_as) or ground
        form = turned(ground, typed.form(tab=came, data=posted, files=request.FILES), tab if act == "show" else came)
        return shown(request, ground, form, other_version=act != "show")
    form = ground.form(tab=came, data=posted, files=request.FILES)
    if not form.is_valid():
        return shown(request, ground, form, status=422)
    if act == "curl":
        return shown(request, ground, form, curl=curl_of(request, flow, form))
    estimate = ground.expected
    if is_tight(form, estimate) and form.cleaned_data["confirmed"] != form.cleaned_data["limit"]:
        return shown(request, ground, form, tight=True)
    return started(request, ground, form)


def started(request: Any, ground: Ground, form: RunForm) -> HttpResponse:
    """The run's page, or the form again with what the verb refused."""
    body = form.request_body()
    try:
        if form.tests_draft:
            run = start_test(ground.actor, ground.flow.slug, body.pop("input"), **body)
        else:
            key = f"form-{form.cleaned_data['key']}"
            repeats = Repeats(ground.source) if ground.source is not None and ground.source.purpose == "live" else None
            run = start_run(ground.actor, ground.flow.slug, body.pop("input"), key=key, source="page", repeats=repeats, **body)
    except KeyReused:
        form.add_error(None, "This form has already started a run with other values. Send it once more to start another one.")
        return shown(request, ground, form, status=409, fresh_key=True)
    except (FlowPaused, FlowArchived) as refusal:
        form.add_error(None, refusal.message)
        return shown(request, ground, form, status=409)
    except Invalid as refusal:
        form.take(refusal.problems)
        return shown(request, ground, form, status=422)
    return redirect(f"/runs/{run.public_id}")


def flow_of(actor: Actor, slug: str) -> Flow:
    flows = flows_for(actor).defer("draft").select_related("team")
    flow = flows.filter(slug=slug[:80]).first() if "\x00" not in slug else None
    if flow is None:
        raise NotFound(f"flow {slug[:80]!r}")
    return flow


def ground_of(request: Any, flow: Flow, wanted: str) -> Ground | None:
    """None where nothing was published. Raises `NotFound` for a version or a run that there is not."""
    newest = FlowVersion.objects.filter(flow=flow, number__isnull=False).order_by("-number").defer("document")
    versions = list(newest[:MOST_VERSIONS])
    draft = draft_to_test(request.actor, flow)
    if draft is None and (flow.published_id is None or not versions):
        return None
    wanted = wanted.strip().removeprefix("v")
    chosen = next((each for each in versions if str(each.number) == wanted), None)
    if chosen is None and wanted and not (wanted == DRAFT and draft is not None):
        raise NotFound(f"version {wanted[:20]} of {flow.slug}")
    if chosen is None and wanted != DRAFT:
        chosen = next((each for each in versions if each.id == flow.published_id), versions[0] if versions else None)
    source, note = source_of(request.actor, flow, request.GET.get("from", ""))
    if chosen is None and draft is not None:
        return Ground(request.actor, flow, versions, FlowVersion(flow=flow), draft, source, note, offers_draft=True)
    assert chosen is not None
    document = document_of(chosen.id)
    return Ground(request.actor, flow, versions, chosen, document, source, note, offers_draft=draft is not None)


def draft_to_test(actor: Actor, flow: Flow) -> FlowDocument | None:
    """The draft, where the actor may test it and it can be read."""
    if not actor.may(Right.EDIT_FLOWS, flow.team_id) or flow.archived_at is not None:
        return None
    try:
        return parse_document(flow.draft)
    except DocumentError:
        return None


def source_of(actor: Actor, flow: Flow, wanted: str) -> tuple[Run | None, str]:
    """The run that the form is filled from, by identifier or number."""
    if not wanted:
        return None, ""
    runs = runs_for(actor)
    try:
        found = (
            runs.filter(number=int(wanted)) if wanted.isdecimal() and len(wanted) < 19 else runs.filter(id=parsed("run", wanted))
        )
    except UnknownIdentifier:
        raise NotFound("run to fill this form from") from None
    run = found.only("id", "number", "flow_id", "version_id", "input", "purpose").first()
    if run is None:
        raise NotFound("run to fill this form from")
    if run.flow_id != flow.id:
        return None, f"Run #{run.number} is one of another flow, so nothing was filled in from it."
    return run, ""


def recent_inputs(actor: Actor, flow: Flow) -> list[tuple[Run, str]]:
    """The newest runs and tests of the flow with other inputs than those after them, each with its input as it may be shown."""
    found: dict[str, Run] = {}
    for run in (
        runs_for(actor)
        .filter(flow=flow)
        .order_by("-id")
        .only("id", "number", "version_id", "input", "created_at", "purpose")[:50]
    ):
        found.setdefault(run.input, run)
    runs = list(found.values())[:MOST_RECENT]
    masks = masks_of(runs)
    return [(run, json.dumps(masks[run.id].read(run.input), ensure_ascii=False) if masks[run.id] else run.input) for run in runs]


def blank(ground: Ground, tab: str) -> RunForm:
    return ground.form(tab=tab, given=ground.before, options={"version": ground.value})


def turned(ground: Ground, form: RunForm, tab: str) -> RunForm:
    """The same input in the other tab or for another version; JSON that cannot be read stays where it is, with its error."""
    value = form.draft()
    if isinstance(value, Missing) or (tab == "form" and not isinstance(value, dict)):
        if not isinstance(value, Missing):
            form.add_error("json", "Only an object of names and values can be shown as fields.")
        return form
    options = {name: form.data.get(name, "") for name in ("limit", "tags", "version", "key", "simulate", "priority")}
    return ground.form(tab=tab, given=value, options=options)


def tab_of(name: str | None) -> str:
    return name if name in TABS else TABS[0]


def is_tight(form: RunForm, estimate: Expectation | None) -> bool:
    """Whether the limit is lower than what such a run usually costs."""
    limit = form.cleaned_data.get("limit")
    return bool(limit) and estimate is not None and Decimal(str(limit)) < estimate.cost


def curl_of(request: HttpRequest, flow: Flow, form: RunForm) -> str:
    """The command that starts the same run over the API."""
    door = "api:post_test" if form.tests_draft else "api:post_run"
    address = request.build_absolute_uri(reverse(door, kwargs={"slug": flow.slug}))
    return curl("POST", address, as_json(form.request_body()))


def shown(request: Any, ground: Ground, form: RunForm, status: int = 200, **more: Any) -> HttpResponse:
    query = request.GET.copy()
    query.pop("tab", None)
    query.pop("version", None)
    kept = query.urlencode()
    address = reverse("run-form", kwargs={"slug": ground.flow.slug})
    context = {
        "flow": ground.flow,
        "ground": ground,
        "form": form,
        "key": new_id().hex if more.pop("fresh_key", False) else form["key"].value(),
        "estimate": ground.expected,
        "recent": recent_inputs(ground.actor, ground.flow),
        "tabs": [
            {"name": name, "label": label, "url": f"{address}?{'&'.join(part for part in (f'tab={name}', kept) if part)}"}
            for name, label in (("form", "Form"), ("json", "JSON"))
        ],
        "action": f"{address}?{'&'.join(part for part in (f'tab={form.tab}', kept) if part)}",
        **more,
    }
    return render(request, "flows/run_form.html", context, status=status)
