"""The form of a decision: the fields that may be edited, and a comment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from approvals.actions.decide import LONGEST_COMMENT
from approvals.questions import asked_limit, is_question
from approvals.rules import json_type, mask_of_request
from flows.access.refusals import Fault, Invalid
from flows.engine.canonical import canonical
from flows.models import Request
from flows.runs.limits import in_words
from flows.runs.starting.form import same_text, sentence_of
from flows.runs.starting.parts import MISSING, Missing, Part, flattened, html_name, part_of


@dataclass(frozen=True, slots=True)
class Edit:
    """A field that may be edited, with what was asked."""

    bound: BoundField
    part: Part
    asked: str

    @property
    def changed(self) -> bool:
        return same_text(self.bound.value()) != same_text(self.asked)


class DecisionForm(forms.Form):
    """`values` gives what the fields begin with where somebody typed into an earlier page of this request."""

    use_required_attribute = False

    comment = forms.CharField(
        required=False,
        max_length=LONGEST_COMMENT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, request: Request, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        self.request = request
        self.asked = json.loads(request.payload)
        hidden = mask_of_request(request)
        self.parts = [
            part for part in _parts(request, self.asked) if hidden.value(self.asked[part.name]) == self.asked[part.name]
        ]
        comment = self.fields.pop("comment")
        changes = "changes" in (request.terms.get("outcomes") or {}).values()
        comment.help_text = "Kept with the decision." + (" Where you ask for changes, the flow gets it." if changes else "")
        for part in self.parts:
            field = part.field(self.asked.get(part.name, MISSING))
            field.required = field.required and self.asked.get(part.name) not in ("", None)
            self.fields[part.html_name] = field
        self.fields["comment"] = comment

    def edits(self) -> list[Edit]:
        return [
            Edit(self[part.html_name], part, "" if part.name not in self.asked else part.shown(self.asked[part.name]))
            for part in self.parts
        ]

    def payload(self, outcome: str) -> Any:
        """The payload with what was edited; None where nothing was, or where `outcome` does not approve of it."""
        if (self.request.terms.get("outcomes") or {}).get(outcome) != "approve":
            return None
        if not self.parts:
            return None
        edited = dict(self.asked)
        for part in self.parts:
            value = self.cleaned_data.get(part.html_name, MISSING)
            if not isinstance(value, Missing):
                edited[part.name] = value
        return None if canonical(edited) == canonical(self.asked) else edited

    def take(self, faults: Iterable[Fault]) -> None:
        """Puts each fault at the field that it is about."""
        for fault in faults:
            sentence = " ".join(each for each in (sentence_of(fault.message), fault.mend) if each)
            name = next((part.html_name for part in self.parts if _is_about(fault.place, part)), None)
            self.add_error("comment" if fault.place == "comment" else name, sentence if name else f"{fault.place}: {sentence}")


class AnswerForm(forms.Form):
    """What goes with a choice that the engine offers: the new limit, or what a call gave; and a comment."""

    use_required_attribute = False

    limit = forms.CharField(required=False, max_length=40, label="New limit")
    result = forms.CharField(
        required=False, strip=False, label="What the call gave", widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})
    )
    comment = forms.CharField(
        required=False,
        max_length=LONGEST_COMMENT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the decision.",
    )

    def __init__(self, request: Request, data: Any = None) -> None:
        super().__init__(data, label_suffix="")
        own = "limit" if request.kind == "budget" else "result"
        del self.fields["result" if own == "limit" else "limit"]
        if own == "limit":
            limit = asked_limit(request)
            which = limit["which"]
            now = in_words(which, Decimal(limit["amount"]) if which == "cost" else limit["amount"])
            unit = "" if which == "cost" else f"In {which}. "
            self.fields["limit"].help_text = f"{unit}More than {now}. Used where you raise the limit."
        else:
            form = " It must have the form that the tool gives." if request.terms.get("result_schema") else ""
            self.fields["result"].help_text = f"As JSON, where it happened. Empty counts as null.{form}"

    def edits(self) -> list[Edit]:
        return []

    @property
    def entry(self) -> BoundField:
        """The field that goes with one of the choices."""
        return self["limit" if "limit" in self.fields else "result"]

    def payload(self, outcome: str) -> Any:
        """What was entered for this choice; None where it takes nothing. Raises `Invalid` where it is no JSON."""
        if outcome == "raise":
            return {"limit": self.cleaned_data["limit"].strip()}
        if outcome != "happened":
            return None
        text = self.cleaned_data["result"].strip()
        try:
            return {"result": json.loads(text) if text else None}
        except (ValueError, RecursionError):
            fault = Fault("payload.result", "is no JSON", "Put texts in double quotes, objects in braces.")
            raise Invalid("The result cannot be read.", problems=[fault]) from None

    def take(self, faults: Iterable[Fault]) -> None:
        """Puts each fault at the field that it is about."""
        for fault in faults:
            sentence = " ".join(each for each in (sentence_of(fault.message), fault.mend) if each)
            about = fault.place.startswith(("payload", "cost", "tokens", "steps"))
            below = fault.place.removeprefix("payload.result").lstrip(".")
            where = f"{below}: " if fault.place.startswith("payload.result") and below else ""
            self.add_error("comment" if fault.place == "comment" else self.entry.name if about else None, f"{where}{sentence}")


def form_of(request: Request, data: Any = None) -> DecisionForm | AnswerForm:
    """The form of a decision on this request."""
    return AnswerForm(request, data) if is_question(request) else DecisionForm(request, data)


def _is_about(place: str, part: Part) -> bool:
    own = f"payload.{part.name}"
    return place == own or place.startswith((f"{own}.", f"{own}["))


def _parts(request: Request, asked: Any) -> Iterable[Part]:
    if not isinstance(asked, dict):
        return
    schema: Mapping[str, Any] = request.terms.get("arguments_schema") or {}
    properties = flattened(schema, schema).get("properties") or {}
    for at, name in enumerate(request.terms.get("editable") or []):
        if name in asked:
            own = flattened(schema, properties.get(name)) if name in properties else {}
            yield part_of(
                name, html_name("edit", name, at), own if "type" in own or "enum" in own else _guessed(asked[name]), name in asked
            )


def _guessed(value: Any) -> dict[str, Any]:
    return {} if value is None else {"type": json_type(value)}
