"""The builder: its page, and what its script asks for while somebody edits."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flows.access.refusals import Fault, Forbidden, Invalid, NotSignedIn
from flows.access.rights import Right, require
from flows.builder.actions.keep_draft import keep_copy, keep_draft
from flows.builder.actions.save_draft import DraftChanged
from flows.builder.drafts import Checked, Draft, NotAFlow, check_draft, draft_of_text, draft_of_value
from flows.builder.editing.facts import faces_of, groups_of, kinds_offered
from flows.builder.editing.fixes import problems_shown
from flows.builder.editing.inspector import form_at
from flows.builder.editing.options import Options, current_options
from flows.builder.editing.previews import preview_all, values_shown
from flows.builder.editing.requests import answering, body_of, place_in, refused, text_in
from flows.builder.editing.samples import NO_SAMPLE, SOURCES, Sample, sample_from
from flows.builder.reads import flow_named
from flows.engine.problems import DocumentError
from flows.models import AuditRow, Flow, Pin

KEYS = (
    ("N", "Add a step"),
    ("L", "Connect the selected step"),
    ("E", "Add a step for when a run fails"),
    ("Arrows", "Walk along the edges"),
    ("Enter", "Open the form of the step"),
    ("Esc", "Back to the canvas"),
    ("Shift + arrows", "Move the selected step"),
    ("Delete", "Remove what is selected"),
    ("Ctrl + Z", "Undo"),
    ("Ctrl + Shift + Z", "Redo"),
    ("Ctrl + S", "Save now"),
    ("/", "Search the palette"),
    ("o", "Outline or canvas"),
    ("t", "Test the draft"),
    ("v", "Publish a version"),
)

PANELS = ("test", "problems", "code")


@login_required
@require_GET
def edit_page(request: Any, slug: str) -> HttpResponse:
    """The page. Who may build, but not here, reads it and may make a copy."""
    actor, flow = request.actor, flow_named(request.actor, slug)
    builds_here = actor.may(Right.EDIT_FLOWS, flow.team_id)
    may_edit = builds_here and flow.archived_at is None
    if not builds_here and not actor.holdings.teams(Right.EDIT_FLOWS):
        raise Forbidden(Right.EDIT_FLOWS)
    options = current_options(flow.team_id, flow.slug)
    draft = draft_of_text(flow.draft)
    checked = _check(flow, draft, options)
    kinds = kinds_offered(options)
    groups = {group: [kind for kind in kinds if kind["group"] == group] for group in groups_of(kinds)}
    data = {
        "flow": flow.slug,
        "person": actor.name,
        "readonly": not may_edit,
        "document": draft.value,
        "catalogue": {"kinds": kinds},
        **_state(flow, draft, checked, options),
    }
    context = {
        "flow": flow,
        "may_edit": may_edit,
        "why_not": "This flow is archived. Restore it on its page, or make a copy."
        if builds_here
        else "You may read this flow, not edit it. A copy is yours to change.",
        "may_publish": actor.may(Right.PUBLISH_FLOWS, flow.team_id),
        "published": flow.published,
        "groups": groups,
        "tools": options.of("tool"),
        "data": data,
        "form": form_at(draft.value, (), options),
        "page_keys": KEYS,
        "is_empty": not draft.value.get("steps"),
        "errors": sum(each["severity"] == "error" for each in data["problems"]),
        "panel": panel if (panel := request.GET.get("panel")) in (PANELS if may_edit else PANELS[1:]) else "",
    }
    return render(request, "builder/edit.html", context)


@answering
@require_http_methods(["GET", "PUT"])
def draft(request: Any, slug: str) -> HttpResponse:
    """GET: the draft as it is stored. PUT `{document, revision}`: keeps it; 409 with what stands there now where it has moved on."""
    if request.method == "GET":
        flow = flow_named(request.actor, slug)
        require(request.actor, Right.SEE_FLOWS, flow)
        found = draft_of_text(flow.draft)
        return JsonResponse({"document": found.value, **_checked_state(flow, found)})
    body = body_of(request)
    if body.get("person", request.actor.name) != request.actor.name:
        raise NotSignedIn(f"This page belongs to {body['person']}, and you are signed in as {request.actor.name} now.")
    revision = body.get("revision")
    if not isinstance(revision, int) or isinstance(revision, bool):
        raise Invalid("The draft cannot be saved.", problems=[Fault("revision", "must be the one that was edited")])
    try:
        flow, found = keep_draft(request.actor, slug, body.get("document"), revision)
    except DraftChanged as refusal:
        flow = flow_named(request.actor, slug)
        return refused(refusal, document=draft_of_text(flow.draft).value, **_last_change(request.actor.name, flow))
    return JsonResponse(_checked_state(flow, found))


def _checked_state(flow: Flow, found: Draft) -> dict[str, Any]:
    options = current_options()
    return _state(flow, found, _check(flow, found, options), options)


def _check(flow: Flow, found: Draft, options: Options) -> Checked:
    return check_draft(found, flow.slug, flow.team_id, options.catalogue(found.document, flow.team_id), options.refers)


def _state(flow: Flow, found: Draft, checked: Checked, options: Options) -> dict[str, Any]:
    return {
        "revision": flow.revision,
        "saved_at": timezone.localtime(flow.changed_at).isoformat(),
        "problems": problems_shown(found, checked),
        "facts": faces_of(checked.survey, options, frozenset(Pin.objects.filter(flow=flow).values_list("path", flat=True))),
    }


def _last_change(reader: str, flow: Flow) -> dict[str, Any]:
    row = AuditRow.objects.filter(subject_kind="flow", subject=flow.slug, action__in=["flow.save", "flow.create"]).last()
    by = row.actor_name if row is not None else "somebody"
    return {"by": "You, in another tab," if by == reader else by, "at": timezone.localtime(flow.changed_at).isoformat()}


@answering
@require_POST
def copies(request: Any, slug: str) -> HttpResponse:
    """A new flow with the document that is sent, or else with the draft as it is stored."""
    body = body_of(request)
    flow = flow_named(request.actor, slug)
    made = keep_copy(request.actor, slug, body.get("document") or draft_of_text(flow.draft).value)
    return JsonResponse({"flow": made.slug, "name": made.name, "url": f"/flows/{made.slug}/edit"}, status=201)


@answering
@require_POST
def inspection(request: Any, slug: str) -> HttpResponse:
    """The form of a step, or of the flow: HTML."""
    flow, body = _edited(request, slug)
    form = form_at(body["document"], place_in(body), current_options(flow.team_id, flow.slug))
    if form is None:
        raise Invalid("There is no such step.", problems=[Fault("place", "leads to no step of this document")])
    return render(request, "builder/_form.html", {"form": form, "flow": flow})


@answering
@require_POST
def conversion(request: Any, slug: str) -> HttpResponse:
    """`{text}` to the document that it means, or `{document}` to the text that the export would give; nothing is saved."""
    flow = flow_named(request.actor, slug)
    body = body_of(request)
    options = current_options()
    try:
        found = draft_of_text(text_in(body, "text")) if "text" in body else draft_of_value(body.get("document"))
    except NotAFlow as refusal:
        cause = refusal.__cause__
        lines = [problem.line for problem in cause.problems] if isinstance(cause, DocumentError) else []
        return refused(refusal, lines=lines)
    problems = problems_shown(found, _check(flow, found, options))
    return JsonResponse({"document": found.value, "text": found.text, "problems": problems})


@answering
@require_POST
def values(request: Any, slug: str) -> HttpResponse:
    """What expressions of a step can name: `[{group, path, type, sample}]`, and where the samples come from."""
    flow, body = _edited(request, slug)
    sample = _sample(request, flow, body)
    survey = _check(flow, draft_of_value(body["document"]), current_options()).survey
    found = [
        {"group": each.group, "path": each.path, "type": each.type, "sample": each.sample}
        for each in values_shown(survey, place_in(body), sample)
    ]
    return JsonResponse({"values": found, "source": sample.label})


@answering
@require_POST
def previews(request: Any, slug: str) -> HttpResponse:
    """What texts of a step give for the sample: `texts` by pointer, each `{text, bare}`."""
    flow, body = _edited(request, slug)
    sample = _sample(request, flow, body)
    survey = _check(flow, draft_of_value(body["document"]), current_options()).survey
    texts = body.get("texts")
    if not isinstance(texts, dict) or not all(isinstance(each, dict) for each in texts.values()):
        raise Invalid("The request cannot be read.", problems=[Fault("texts", "must be an object of texts by pointer")])
    return JsonResponse({"previews": preview_all(texts, survey, place_in(body), sample), "source": sample.label})


def _edited(request: Any, slug: str) -> tuple[Flow, dict[str, Any]]:
    """The flow, and a request's body with the document as it is edited."""
    flow = flow_named(request.actor, slug)
    require(request.actor, Right.SEE_FLOWS, flow)
    body = body_of(request)
    draft_of_value(body.get("document"))
    return flow, body


def _sample(request: Any, flow: Flow, body: dict[str, Any]) -> Sample:
    source = body.get("sample", SOURCES[0])
    if source not in SOURCES or not request.actor.may(Right.SEE_RUNS, flow.team_id):
        return NO_SAMPLE
    return sample_from(request.actor, flow, source)
