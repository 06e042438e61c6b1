"""``/runs/<run>/skip`` and ``/runs/<run>/input``: going past a step, and setting its input before it begins."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from flows.access.masking import mask_of
from flows.access.refusals import Conflict, Fault, Invalid, Refusal
from flows.access.rights import Right, require
from flows.engine.drawing import label_of
from flows.engine.paths import Place
from flows.models import Intervention, Run
from flows.runs.actions.edit_input import edit_input, editable_fields, written_fields
from flows.runs.actions.skip_step import LONGEST_COMMENT, skip_step
from flows.runs.reads import run_named
from flows.runs.stepstates import DecideInstead, asks_people, place_in, sealed_by, standing_at


class StepForm(forms.Form):
    """A form about one step."""

    use_required_attribute = False

    def take(self, faults: Iterable[Fault]) -> None:
        """Puts each fault at the field that it is about: `input.prompt` at `prompt`."""
        for fault in faults:
            parts = fault.place.removeprefix("input.").replace("[", ".").split(".")
            name = parts[0] if parts[0] in self.fields else None
            place = "" if name is None or len(parts) == 1 else f"{fault.place.partition(f'{name}.')[2] or fault.place}: "
            self.add_error(name, f"{place}{fault.message[:1].upper()}{fault.message[1:]}. {fault.mend}".strip())


class SkipForm(StepForm):
    port = forms.ChoiceField(label="It leaves by", required=False)
    output = forms.CharField(
        label="Its output",
        required=False,
        strip=False,
        help_text="JSON: what the steps behind it see in place of a result. Empty is null.",
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false"}),
    )
    comment = forms.CharField(
        label="Why",
        required=False,
        max_length=LONGEST_COMMENT,
        help_text="Stands in the audit log.",
        widget=forms.Textarea({"rows": 2}),
    )

    def __init__(self, ports: Iterable[str], data: Any) -> None:
        super().__init__(data, label_suffix="")
        names = sorted(ports, key=lambda port: (port != "done", port))
        self.fields["port"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
        if len(names) == 1:
            self.fields["port"].widget = forms.HiddenInput()
            self.fields["port"].initial = names[0]

    def clean_output(self) -> Any:
        return read_json(self.cleaned_data["output"])


class InputForm(StepForm):
    """A field for each of the step's that may be set. One that is left empty stays as the flow, or an earlier edit, has it."""

    def __init__(self, place: Place, data: Any) -> None:
        super().__init__(data, label_suffix="")
        written = written_fields(place)
        schema = place.node.kind.Settings.model_json_schema(by_alias=False)["properties"]
        self.texts = {name for name in editable_fields(place) if _takes_text(schema.get(name, {}))}
        for name in sorted(editable_fields(place), key=lambda each: (each != "prompt", each)):
            is_text = name in self.texts
            now = written.get(name)
            said = "" if now is None else now if isinstance(now, str) else json.dumps(now, ensure_ascii=False)
            told = f"The flow says: {said[:300]}{'…' if len(said) > 300 else ''}" if said else "The flow says nothing here."
            widget = forms.TextInput() if name == "route" else forms.Textarea({"rows": 4, "spellcheck": "false"})
            self.fields[name] = forms.CharField(
                label=name.rstrip("_").replace("_", " ").capitalize() + ("" if is_text else " (JSON)"),
                required=False,
                strip=False,
                help_text=told,
                widget=widget,
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in self.fields.keys() - self.texts:
            try:
                cleaned[name] = read_json(cleaned.get(name, "")) if cleaned.get(name, "").strip() else ""
            except forms.ValidationError as error:
                self.add_error(name, error)
        return cleaned

    def given(self) -> dict[str, Any]:
        """The fields that were filled in, as the step is to see them."""
        return {name: value for name, value in self.cleaned_data.items() if value != ""}


def _takes_text(schema: dict[str, Any]) -> bool:
    kinds = [each.get("type") for each in schema.get("anyOf", [schema])]
    return set(kinds) <= {"string", "null"} and "string" in kinds


def read_json(text: str) -> Any:
    """The JSON value of a text; None of an empty one. Raises `ValidationError` naming the place."""
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        raise forms.ValidationError(f"This is no JSON: look at line {line}, column {column}. Text stands in quotes.") from None


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def skip(request: Any, run_id: str) -> HttpResponse:
    """Goes past a step. Raises `NotFound`, `Forbidden`."""
    run, place = _step_of(request, run_id)
    form = SkipForm(place.node.ports, request.POST or None)
    refused: Refusal | None = DecideInstead() if asks_people(place.node) else None
    if request.method == "POST" and refused is None and form.is_valid():
        given = form.cleaned_data
        try:
            skip_step(
                request.actor,
                run,
                place.path,
                output=given["output"],
                port=given["port"] or "done",
                comment=given["comment"],
                seen=request.POST.get("seen"),
            )
        except Invalid as refusal:
            form.take(refusal.problems)
        except Conflict as refusal:
            refused = refusal
        else:
            request.toast(f"{_name(place)} is skipped.")
            return _back(run, place)
    return _shown(request, "runs/skip.html", run, place, form, refused, "Skip a step")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def step_input(request: Any, run_id: str) -> HttpResponse:
    """Sets fields of a step's input. Raises `NotFound`, `Forbidden`."""
    run, place = _step_of(request, run_id)
    form = InputForm(place, request.POST or None)
    refused: Refusal | None = None
    if place.node.kind.slug == "approval":
        refused = DecideInstead("What people are asked is not edited. Decide the request, or cancel the run.")
    elif request.method == "POST" and form.is_valid():
        try:
            edit_input(request.actor, run, place.path, form.given(), seen=request.POST.get("seen"))
        except Invalid as refusal:
            form.take(refusal.problems)
        except Conflict as refusal:
            refused = refusal
        else:
            request.toast(f"{_name(place)} begins with the input that you set.")
            return _back(run, place)
    return _shown(request, "runs/input.html", run, place, form, refused, "Edit a step's input")


def _step_of(request: Any, run_id: str) -> tuple[Run, Place]:
    run = run_named(request.actor, run_id)
    require(request.actor, Right.CONTROL_RUNS, run)
    return run, place_in(run, request.GET.get("step", ""))


def _name(place: Place) -> str:
    return label_of(place.node.key, place.node.label)


def _back(run: Run, place: Place) -> HttpResponse:
    return redirect(f"{reverse('run', args=[run.public_id])}?{urlencode({'step': place.path})}")


def _shown(
    request: Any, template: str, run: Run, place: Place, form: StepForm, refused: Refusal | None, doing: str
) -> HttpResponse:
    edits = Intervention.objects.filter(run=run, pass_number=run.pass_number, path=place.path, kind="input")
    edited = edits.select_related("by").order_by("-id").first()
    fields = mask_of(run).read(edited.after) if edited is not None else None
    context = {
        "run": run,
        "doing": doing,
        "form": form,
        "path": place.path,
        "name": _name(place),
        "refused": refused,
        "seen": standing_at(run, place.path),  # a form that is sent twice does its work once
        "sealing": ", ".join(sealed_by(place)),
        "edited": edited,
        "edited_fields": fields,
        "told": fields or {},
        "action": f"{request.path}?{urlencode({'step': place.path})}",
    }
    status = refused.status if refused is not None else 422 if form.errors else 200
    return render(request, template, context, status=status)
