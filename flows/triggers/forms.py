"""The form of a trigger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django import forms

from flows.access.refusals import Fault
from flows.triggers.settings import DEFAULTS

OVERLAPS = (("skip", "Skip the fire time"), ("queue", "Wait for it, then run"), ("allow", "Run beside it"))
CATCH_UPS = (("last", "Run once for all of them"), ("none", "Leave them out"), ("all", "Run each, at most 50"))


class TriggerForm(forms.Form):
    """Name, and what `kind` is set to; values that are JSON are written as JSON."""

    use_required_attribute = False

    name = forms.CharField(max_length=160)

    def __init__(self, kind: str, settings: dict[str, Any], data: Any = None, name: str = "") -> None:
        written = {
            each: json.dumps(value, ensure_ascii=False, indent=2) if each in ("input", "sample") and value is not None else value
            for each, value in {**DEFAULTS[kind], **settings}.items()
        }
        mapping = written.get("mapping")
        if mapping is not None and not isinstance(mapping, str):
            written["mapping"] = json.dumps(mapping, ensure_ascii=False, indent=2)
        super().__init__(data, initial={"name": name, **written}, label_suffix="")
        self.kind = kind
        self.fields |= _schedule_fields() if kind == "schedule" else _webhook_fields()

    def given(self) -> dict[str, Any]:
        """What `create_trigger` and `change_trigger` take; None, with the errors in the form, where JSON cannot be read."""
        given = {name: value for name, value in self.cleaned_data.items() if name != "name"}
        for name in ("input", "sample", "mapping"):
            if name in given:
                given[name] = self.read(name, given[name].strip())
        return given

    def read(self, name: str, text: str) -> Any:
        if name == "mapping" and not text.startswith(("{\n", "{\r", '{"', "{ ", "[")):
            return text  # one expression, or a text with some
        if not text:
            return {} if name == "input" else None
        try:
            return json.loads(text)
        except ValueError as error:
            self.add_error(name, f"This is no JSON: {error}.")
            return None

    def take(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            place = fault.place.partition(".")[0].partition("[")[0]
            words = (
                f"{fault.place} {fault.message}. {fault.mend}".strip() if "." in fault.place else f"{fault.message}. {fault.mend}"
            )
            self.add_error(place if place in self.fields else None, f"{words[:1].upper()}{words[1:]}".strip())


def _schedule_fields() -> dict[str, forms.Field]:
    return {
        "cron": forms.CharField(
            label="Rule", help_text="Minute, hour, day of the month, month, day of the week: 30 9 * * 2 is Tuesdays at 09:30."
        ),
        "zone": forms.CharField(
            label="Time zone", help_text="Such as Europe/Madrid. Where clocks change each fire time comes once."
        ),
        "overlap": forms.ChoiceField(choices=OVERLAPS, label="While the run before is still going"),
        "catch_up": forms.ChoiceField(choices=CATCH_UPS, label="Fire times that were missed while nothing ran"),
        "input": forms.CharField(widget=forms.Textarea(attrs={"rows": 5}), required=False, help_text="JSON that each run gets."),
    }


def _webhook_fields() -> dict[str, forms.Field]:
    return {
        "mapping": forms.CharField(
            widget=forms.Textarea(attrs={"rows": 4}),
            label="Input of the run",
            help_text="{{ body }} is the whole body; or JSON with expressions, such as "
            '{"amount": "{{ body.order.total }}"}. {{ delivery.id }} and {{ delivery.at }} are there, too.',
        ),
        "sample": forms.CharField(
            widget=forms.Textarea(attrs={"rows": 5}),
            required=False,
            help_text="JSON as it is delivered; the mapping is tried on it.",
        ),
        "per_minute": forms.IntegerField(label="Deliveries a minute", help_text="What comes beyond is refused with 429."),
    }
