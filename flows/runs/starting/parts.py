"""The fields of a run form: one for each property of an input schema.

A part knows how its property is typed in, what its control shows for a JSON value, and which JSON value a typed text means. What has
no control of its own is typed as JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.template.loader import render_to_string

from flows.engine.problems import path_text
from flows.engine.schemas import resolve

SHORT = 200  # characters: a text that may be longer gets a field that grows
SIMPLE = re.compile(r"[A-Za-z0-9_-]{1,80}")
MOST_PARTS = 200


class Missing:
    """Nothing was given."""

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


class TextOrFile(forms.Textarea):
    """A text that is pasted or comes from a file. The file's text is what the field then holds, so that it is not lost."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        file = files.get(f"{name}-file") if files else None
        return file if isinstance(file, UploadedFile) else super().value_from_datadict(data, files, name)

    def format_value(self, value: Any) -> str | None:
        if isinstance(value, UploadedFile):
            try:
                return file_text(value)
            except forms.ValidationError:
                return ""
        return super().format_value(value)

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> Any:
        area = super().render(name, value, attrs, renderer)
        return render_to_string("flows/_text_or_file.html", {"area": area, "name": name, "id": (attrs or {}).get("id", name)})


def file_text(file: UploadedFile) -> str:
    """The text of an uploaded file. Raises ValidationError where it is none."""
    file.seek(0)
    try:
        text = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"its byte {error.start} is not UTF-8"
        raise forms.ValidationError(f"The file {str(file.name)[:80]} is no text: {where}. Save it as plain text.") from None
    return unix_lines(text)


def unix_lines(text: str) -> str:
    """A form sends every line end as CRLF; which one was typed cannot be told."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True)
class Part:
    """A property of the input that is typed as a text of one line."""

    name: str
    html_name: str
    schema: Mapping[str, Any]
    required: bool
    kind: ClassVar[str] = "line"

    @property
    def label(self) -> str:
        return str(self.schema.get("title") or self.name.replace("_", " ")[:1].upper() + self.name.replace("_", " ")[1:])

    @property
    def place(self) -> str:
        """Where a problem of this property is reported."""
        below = path_text((self.name,))
        return f"input{below}" if below.startswith("[") else f"input.{below}"

    def widget(self) -> forms.Widget:
        return forms.TextInput()

    def field(self, initial: Any = MISSING) -> forms.Field:
        given = self.schema.get("default", MISSING) if isinstance(initial, Missing) else initial
        shown = None if isinstance(given, Missing) else self.shown(given)
        return PartField(
            self, label=self.label, help_text=self.help(), widget=self.widget(), initial=shown, required=self.required
        )

    def help(self) -> str:
        return str(self.schema.get("description", ""))

    def shown(self, value: Any) -> Any:
        """What the control shows for a JSON value; one that does not fit is shown as JSON, so that it can be seen and mended."""
        return value if isinstance(value, str) else as_json(value)

    def meant(self, raw: Any) -> Any:
        """The JSON value that a typed text means, or MISSING. Raises ValidationError that says what would be understood."""
        text = unix_lines(str(raw or ""))
        return text or MISSING


class PartField(forms.Field):
    """A form's field for a part: its cleaned value is a JSON value or MISSING."""

    def __init__(self, part: Part, **options: Any) -> None:
        self.part = part
        super().__init__(**options)

    def to_python(self, value: Any) -> Any:
        return self.part.meant(value)

    def validate(self, value: Any) -> None:
        if self.required and isinstance(value, Missing):
            raise forms.ValidationError("This is required.", "required")


class Paragraph(Part):
    """A text that may be long; its field grows with it."""

    kind = "paragraph"

    def widget(self) -> forms.Widget:
        return forms.Textarea(attrs={"rows": 1, "data-grows": ""})


class Document(Part):
    """A whole text: pasted, or from a file."""

    kind = "document"

    def widget(self) -> forms.Widget:
        return TextOrFile(attrs={"rows": 6})

    def meant(self, raw: Any) -> Any:
        text = file_text(raw) if isinstance(raw, UploadedFile) else unix_lines(str(raw or ""))
        return text or MISSING


class Number(Part):
    kind = "number"
    example: ClassVar[str] = "420 or 4.20"

    def widget(self) -> forms.Widget:
        return forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def help(self) -> str:
        lowest, highest = self.schema.get("minimum"), self.schema.get("maximum")
        bounds = {
            (True, True): f"From {lowest} to {highest}.",
            (True, False): f"At least {lowest}.",
            (False, True): f"At most {highest}.",
        }.get((lowest is not None, highest is not None), "")
        return " ".join(part for part in (super().help(), bounds) if part)

    def meant(self, raw: Any) -> Any:
        text = str(raw or "").strip()
        if not text:
            return MISSING
        try:
            number = self.read(text)
        except ValueError:
            raise forms.ValidationError(f"“{text[:40]}” is not {self.article}. Write such as {self.example}.") from None
        return number

    article: ClassVar[str] = "a number"

    def read(self, text: str) -> int | float:
        if re.fullmatch(r"[+-]?[0-9]{1,300}", text):
            return int(text)
        if not re.fullmatch(r"[+-]?([0-9]{1,300}\.?[0-9]{0,300}|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?", text):
            raise ValueError
        number = float(text)
        if not math.isfinite(number):
            raise ValueError
        return number


class Whole(Number):
    kind = "integer"
    example = "12"
    article = "a whole number"

    def widget(self) -> forms.Widget:
        return forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})

    def read(self, text: str) -> int | float:
        number = super().read(text)
        if isinstance(number, float):
            raise ValueError
        return number


class Choice(Part):
    """One of the values that the schema lists; an option's value is the JSON text of what it stands for."""

    kind = "choice"

    def options(self) -> list[tuple[Any, str]]:
        listed = [self.schema["const"]] if "const" in self.schema else self.schema["enum"]
        return [(each, each if isinstance(each, str) else as_json(each)) for each in listed]

    def widget(self) -> forms.Widget:
        choices = [("", "Choose…" if self.required else "Not given")]
        return forms.Select(choices=choices + [(as_json(value), label) for value, label in self.options()])

    def shown(self, value: Any) -> Any:
        return as_json(value)

    def meant(self, raw: Any) -> Any:
        text = str(raw or "")
        if not text:
            return MISSING
        for value, _ in self.options():
            if as_json(value) == text:
                return value
        raise forms.ValidationError("Choose one of those listed.")


class YesOrNo(Choice):
    """True, false, or not given."""

    kind = "boolean"

    def options(self) -> list[tuple[Any, str]]:
        return [(True, "Yes"), (False, "No")]


class Box(Part):
    """True or false, where one of the two is always given."""

    kind = "box"

    def widget(self) -> forms.Widget:
        return forms.CheckboxInput()

    def shown(self, value: Any) -> Any:
        return value is True

    def meant(self, raw: Any) -> Any:
        return raw in (True, "on", "true", "True")

    def field(self, initial: Any = MISSING) -> forms.Field:
        field = super().field(initial)
        field.required = False  # an empty box is an answer
        return field


class Day(Part):
    kind = "date"

    def widget(self) -> forms.Widget:
        return forms.TextInput(attrs={"type": "date"})


class Moment(Part):
    kind = "date-time"

    def help(self) -> str:
        return " ".join(part for part in (super().help(), "With its time zone, such as 2025-07-15T09:00:00Z.") if part)


class Email(Part):
    kind = "email"

    def widget(self) -> forms.Widget:
        return forms.TextInput(attrs={"type": "email", "autocomplete": "off"})


class Json(Part):
    """Lists, objects, and everything else that has no control of its own."""

    kind = "json"

    def widget(self) -> forms.Widget:
        return forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})

    def help(self) -> str:
        what = {"array": 'A list, as JSON: ["one", "two"].', "object": 'An object, as JSON: {"name": "value"}.'}
        kind = self.schema.get("type")
        return " ".join(part for part in (super().help(), what.get(str(kind), "As JSON.")) if part)

    def shown(self, value: Any) -> Any:
        return as_json(value, indent=2)

    def meant(self, raw: Any) -> Any:
        text = unix_lines(str(raw or ""))
        return read_json(text) if text.strip() else MISSING


class Rest(Json):
    """What an earlier input holds beside the properties that the schema names."""

    kind = "rest"

    @property
    def label(self) -> str:
        return "Other fields"

    def meant(self, raw: Any) -> Any:
        value = super().meant(raw)
        if not isinstance(value, (dict, Missing)):
            raise forms.ValidationError('Write an object, such as {"name": "value"}.')
        return value


STRINGS: Mapping[str, type[Part]] = {"date": Day, "date-time": Moment, "email": Email}
TYPES: Mapping[str, type[Part]] = {"number": Number, "integer": Whole, "array": Json, "object": Json}


def parts_of(schema: Mapping[str, Any] | None, prefix: str = "input") -> list[Part] | None:
    """A part for each property; None where the schema is not a plain list of properties, so that only JSON can be typed."""
    if schema is None:
        return []
    root = flattened(schema, schema)
    properties = root.get("properties")
    if root.get("type", "object") != "object" or not isinstance(properties, dict) or len(properties) > MOST_PARTS:
        return None
    required = root.get("required") or []
    return [
        part_of(name, html_name(prefix, name, at), flattened(schema, inner), name in required)
        for at, (name, inner) in enumerate(properties.items())
    ]


def part_of(name: str, html: str, schema: Mapping[str, Any], required: bool) -> Part:
    """The part for a property, by what its schema says."""
    chosen = _class_of(schema, required)
    return chosen(name, html, schema, required)


def _class_of(schema: Mapping[str, Any], required: bool) -> type[Part]:
    if "enum" in schema or "const" in schema:
        return Choice
    kinds = schema.get("type")
    if isinstance(kinds, list):
        kinds = [kind for kind in kinds if kind != "null"]
        kinds = kinds[0] if len(kinds) == 1 else None
    if kinds == "boolean":
        return Box if required or "default" in schema else YesOrNo
    if kinds != "string":
        return TYPES.get(str(kinds), Json)
    if str(schema.get("contentMediaType", "")).startswith("text/"):
        return Document
    if schema.get("format") in STRINGS:
        return STRINGS[schema["format"]]
    short = "format" in schema or "pattern" in schema or schema.get("maxLength", SHORT + 1) <= SHORT
    return Part if short else Paragraph


def flattened(root: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """A schema with the part that it refers to in its place; what stands beside the reference goes before it."""
    found: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
    for _ in range(8):
        reference = found.pop("$ref", None)
        if not isinstance(reference, str):
            break
        target = resolve(root, reference)
        found = {**target, **found} if isinstance(target, Mapping) else found
    return found


def html_name(prefix: str, name: str, at: int) -> str:
    """The name of a property's field: its own where that is fit for an identifier, else its place."""
    return f"{prefix}-{name}" if SIMPLE.fullmatch(name) else f"{prefix}-no{at}"


def beside(value: Any, parts: Iterable[Part]) -> dict[str, Any]:
    """What an input holds beside these parts."""
    names = {part.name for part in parts}
    return {name: each for name, each in value.items() if name not in names} if isinstance(value, dict) else {}


def as_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def read_json(text: str) -> Any:
    """The JSON value of a typed text. Raises ValidationError that names line and column."""

    def refuse(word: str) -> Any:
        raise forms.ValidationError(f"{word} is no JSON number.")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise forms.ValidationError(f"This is not JSON: {error.msg} ({place}).") from None
    except (RecursionError, ValueError):
        raise forms.ValidationError("This JSON is nested too deeply or holds too large a number.") from None
