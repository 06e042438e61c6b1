"""The run form: the input, by fields or as JSON, and the options of the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from flows.access.installation import money, the_installation
from flows.access.refusals import Fault
from flows.engine.inputs import input_problems
from flows.engine.problems import path_text
from flows.models.identifiers import new_id
from flows.runs.starting.parts import MISSING, Box, Choice, Missing, Part, Rest, as_json, beside, parts_of, read_json, unix_lines

TABS = ("form", "json")
DRAFT = "draft"  # among the versions: the draft, as a test
KEY = re.compile(r"[0-9a-f]{32}")
MONEY = re.compile(r"[0-9]{1,12}(\.[0-9]{0,10})?|\.[0-9]{1,10}")
LONGEST_OLD_VALUE = 60  # characters of a value that a mark of change repeats
PLACES = {"limits.cost": "limit", "tags": "tags", "version": "version", "simulate": "simulate", "priority": "priority"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of the input as the page shows it. `before` is what it held in the run that the form was filled from."""

    bound: BoundField
    part: Part
    before: Any = MISSING

    @property
    def has_before(self) -> bool:
        return not isinstance(self.before, Missing)

    @property
    def changed(self) -> bool:
        return self.has_before and same_text(self.bound.value()) != same_text(self.before)

    @property
    def before_in_words(self) -> str:
        if isinstance(self.part, Box):
            return "yes" if self.before else "no"
        if isinstance(self.part, Choice):
            return next((label for value, label in self.part.options() if self.part.shown(value) == self.before), "nothing")
        text = str(self.before if self.before not in (None, "") else "nothing")
        return text if len(text) <= LONGEST_OLD_VALUE and "\n" not in text else ""


def same_text(value: Any) -> str:
    return "" if value is None else unix_lines(str(value))


class Version(forms.ChoiceField):
    """Always one of those that there are; none given is the live one."""

    def validate(self, value: Any) -> None:
        if value:
            super().validate(value)


class RunForm(forms.Form):
    """`given` is the input that the fields begin with, `before` the one that marks of change compare with."""

    use_required_attribute = False  # the server says what is missing, at the field and in the summary

    key = forms.CharField(required=False, widget=forms.HiddenInput)
    confirmed = forms.CharField(required=False, widget=forms.HiddenInput)
    limit = forms.CharField(
        required=False,
        label="Limit for this run",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "data-limit": ""}),
    )
    tags = forms.CharField(
        required=False, label="Tags", help_text="Words to find the run by, with commas between.", max_length=1500
    )

    simulate = forms.BooleanField(
        required=False, label="Simulate models", help_text="Every model call goes to a simulated model: no real money."
    )
    priority = forms.TypedChoiceField(
        required=False,
        label="Priority",
        coerce=int,
        empty_value=None,
        choices=[("", "the flow’s"), *((str(each), f"{each:+d}" if each else "0, normal") for each in range(10, -11, -1))],
    )

    def __init__(
        self,
        schema: Mapping[str, Any] | None,
        versions: list[tuple[str, str]],
        *,
        tab: str = "form",
        data: Any = None,
        files: Any = None,
        given: Any = MISSING,
        before: Any = MISSING,
        options: Mapping[str, Any] | None = None,
        highest: Decimal | None = None,
    ) -> None:
        super().__init__(data, files, initial={"key": new_id().hex, **(options or {})}, label_suffix="")
        self.schema = schema
        parts = parts_of(schema)
        self.only_json = parts is None
        self.tab = "json" if self.only_json else tab
        self.parts = list(parts or [])
        self.before = before
        self._only_read = False
        own = dict(self.fields)
        self.fields.clear()
        if self.tab == "json":
            self._add_json(given)
        else:
            self._add_parts(given)
        versioned = Version(choices=versions, label="Version")
        self.fields |= {"version": versioned, **own}
        ceiling = (
            f"{money(f'{highest:f}')} is the flow's own; the lower one holds."
            if highest is not None
            else "An amount such as 0.50."
        )
        self.fields["limit"].help_text = ceiling

    def _add_json(self, given: Any) -> None:
        value = {} if isinstance(given, Missing) else given
        self.fields["json"] = forms.CharField(
            label="Input",
            required=False,
            strip=False,
            help_text="The whole input, as the API takes it.",
            initial=as_json(value, indent=2),
            widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
        )

    def _add_parts(self, given: Any) -> None:
        values = given if isinstance(given, dict) else {}
        if beside(values, self.parts) or (self.is_bound and "input-rest" in self.data):
            self.parts.append(Rest("", "input-rest", {"type": "object"}, required=False))
        for part in self.parts:
            value = beside(values, self.parts) if isinstance(part, Rest) else values.get(part.name, MISSING)
            field = self.fields[part.html_name] = part.field(value)
            if isinstance(given, dict) and isinstance(value, Missing):
                field.initial = None  # an input that leaves it out begins without the schema's default

    # --- what the page shows

    def entries(self) -> list[Entry]:
        """The fields of the input, each with what it was."""
        return [Entry(self[part.html_name], part, self._before(part)) for part in self.parts if part.html_name in self.fields]

    def _before(self, part: Part) -> Any:
        if not isinstance(self.before, dict):
            return MISSING
        if isinstance(part, Rest):
            return part.shown(beside(self.before, self.parts))
        value = self.before.get(part.name, MISSING)
        return "" if isinstance(value, Missing) and not isinstance(part, Box) else part.shown(value)

    @property
    def json_changed(self) -> bool:
        if isinstance(self.before, Missing) or self.tab != "json":
            return False
        return same_text(self["json"].value()) != same_text(as_json(self.before, indent=2))

    # --- what it means

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self._only_read and not any(name == "json" or name.startswith("input-") for name in self.errors):
            self.take(Fault(each.path, each.message, each.mend) for each in input_problems(self.input(), self.schema))
        return cleaned

    def clean_json(self) -> Any:
        text = self.cleaned_data["json"]
        return read_json(text) if text.strip() else {}

    def clean_limit(self) -> str:
        text = the_installation().without_currency(str(self.cleaned_data["limit"]))
        if text and not MONEY.fullmatch(text):
            raise forms.ValidationError(f"“{text[:40]}” is not an amount of money. Write such as 0.50.")
        return text

    def clean_tags(self) -> list[str]:
        return [tag.strip() for tag in self.cleaned_data["tags"].split(",") if tag.strip()]

    def clean_key(self) -> str:
        text = self.cleaned_data["key"]
        return text if KEY.fullmatch(text) else new_id().hex

    def input(self) -> Any:
        """The input as a JSON value."""
        if self.tab == "json":
            return self.cleaned_data.get("json", {})
        value: dict[str, Any] = {}
        for part in self.parts:
            each = self.cleaned_data.get(part.html_name, MISSING)
            if isinstance(part, Rest):
                value |= {} if isinstance(each, Missing) else each
            elif not isinstance(each, Missing):
                value[part.name] = each
        return value

    def draft(self) -> Any:
        """The input as far as it can be read: what cannot stands in it as the text that was typed. MISSING where the JSON is none."""
        self._only_read = True
        self.full_clean()
        if self.tab == "json":
            return self.cleaned_data.get("json", MISSING)
        value = self.input()
        for part in self.parts:
            raw = self[part.html_name].value()
            if part.html_name in self.errors and raw and not isinstance(part, Rest):
                value[part.name] = str(raw)
        return value

    def request_body(self) -> dict[str, Any]:
        """What the API takes to start the same run."""
        body: dict[str, Any] = {"input": self.input()}
        if self.cleaned_data["limit"]:
            body["limits"] = {"cost": self.cleaned_data["limit"]}
        if self.cleaned_data["tags"]:
            body["tags"] = self.cleaned_data["tags"]
        if self.cleaned_data["priority"] is not None and not self.tests_draft:
            body["priority"] = self.cleaned_data["priority"]
        if self.cleaned_data["simulate"] or self.tests_draft:
            body["simulate"] = self.cleaned_data["simulate"]
        if self.tests_draft:
            body.pop("tags", None)
        elif self.cleaned_data["version"]:
            body["version"] = int(self.cleaned_data["version"])
        return body

    @property
    def tests_draft(self) -> bool:
        """Whether it is the draft that is to run, as a test."""
        return bool(self.cleaned_data["version"] == DRAFT)

    def take(self, faults: Iterable[Fault]) -> None:
        """Puts each fault at the field that it is about."""
        for fault in faults:
            name, text = self._field_of(fault)
            sentence = " ".join(part for part in (sentence_of(text), fault.mend) if part)
            if name is None or sentence not in self.errors.get(name, []):
                self.add_error(name, sentence)

    def _field_of(self, fault: Fault) -> tuple[str | None, str]:
        if fault.place in PLACES or fault.place.startswith("tags["):
            return PLACES.get(fault.place, "tags"), fault.message
        if self.tab == "json":
            place = fault.place.removeprefix("input").removeprefix(".")
            return "json", f"{place}: {fault.message}" if place else fault.message
        for part in self.parts:
            if isinstance(part, Rest):
                continue
            if fault.place == "input" and fault.message == f"`{part.name}` is missing":
                return part.html_name, "This is required"
            if fault.place == part.place:
                return part.html_name, fault.message
            if fault.place.startswith((f"{part.place}.", f"{part.place}[")):
                below = path_text((fault.place.removeprefix(part.place).removeprefix("."),))
                return part.html_name, f"{below}: {fault.message}"
        rest = "input-rest" if "input-rest" in self.fields else None
        return rest, f"{fault.place.removeprefix('input.')}: {fault.message}" if fault.place != "input" else fault.message


def sentence_of(text: str) -> str:
    """A message of the checks, which begin small, as a sentence."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
