"""The fields of a form that a tool's kind needs: each comes from the kind's settings, so that a kind brings its form with it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, get_args, get_origin

from django import forms
from pydantic.fields import FieldInfo

from flows.access.refusals import Fault
from flows.models import Connection, Flow, Secret
from flows.tools.base import ToolKind
from flows.tools.functions import FUNCTIONS

LONG: Final = 1000
"""Texts that may be longer get more than a line."""
Choices = Iterable[tuple[str, str]]


def fields_of(kind: ToolKind) -> dict[str, forms.Field]:
    """The form fields of what the kind needs, by the names of its settings."""
    return {name: _field(name, info) for name, info in kind.Settings.model_fields.items()}


def shown(kind: ToolKind, settings: Mapping[str, Any]) -> dict[str, Any]:
    """These settings as the fields show them."""
    found = kind.Settings.model_fields
    return {name: _text(found[name], value) for name, value in settings.items() if name in found}


def meant(kind: ToolKind, typed: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The settings that these fields mean, and what could not be read of them; what was left empty is left out."""
    settings: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, info in kind.Settings.model_fields.items():
        text = str(typed.get(name, "") or "").strip()
        if text:
            try:
                settings[name] = _value(info, text)
            except ValueError as error:
                faults.append(Fault(name, str(error)))
    return settings, faults


def _field(name: str, info: FieldInfo) -> forms.Field:
    said: dict[str, Any] = {
        "required": info.is_required() or get_origin(info.annotation) is Literal,
        "label": info.title or name.replace("_", " ").capitalize(),
        "help_text": _sentence(info.description or ""),
        "strip": False,
    }
    options = _options(info)
    if options is not None:
        del said["strip"]
        blank = [] if get_origin(info.annotation) is Literal else [("", "–")]
        return forms.ChoiceField(choices=[*blank, *options], **said)
    if info.annotation is Any or get_origin(info.annotation) is dict or _longest(info) > LONG:
        rows = 6 if _longest(info) > LONG else 3
        return forms.CharField(widget=forms.Textarea(attrs={"rows": rows, "spellcheck": "false"}), **said)
    return forms.CharField(**said)


def _options(info: FieldInfo) -> list[tuple[str, str]] | None:
    """What is to be chosen from; None where it is typed."""
    if get_origin(info.annotation) is Literal:
        return [(str(each), str(each)) for each in get_args(info.annotation)]
    of = info.json_schema_extra.get("of") if isinstance(info.json_schema_extra, dict) else None
    match of:
        case "secret":
            return _same(Secret.objects.order_by("name").values_list("name", flat=True))
        case "function":
            return _same(sorted(FUNCTIONS))
        case "flow":
            flows = Flow.objects.filter(published__isnull=False, archived_at__isnull=True).order_by("name")
            return [(slug, f"{name} ({slug})") for slug, name in flows.values_list("slug", "name")]
        case "postgresql" | "smtp":
            return _same(Connection.objects.filter(kind=of).order_by("slug").values_list("slug", flat=True))
        case _:
            return None


def _same(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def _longest(info: FieldInfo) -> int:
    return max((getattr(each, "max_length", 0) or 0 for each in info.metadata), default=0) if info.annotation is str else 0


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _text(info: FieldInfo, value: Any) -> Any:
    if value is None:
        return ""
    if get_origin(info.annotation) is dict:
        return "\n".join(f"{name}: {each}" for name, each in value.items())
    if get_origin(info.annotation) is tuple:
        return ", ".join(map(str, value))
    return json.dumps(value, indent=2, ensure_ascii=False) if info.annotation is Any else value


def _value(info: FieldInfo, text: str) -> Any:
    """What a text means. Raises ValueError whose text says what is wrong."""
    annotation = info.annotation
    if get_origin(annotation) is dict:
        return _pairs(text)
    if get_origin(annotation) is tuple:
        parts = [each for each in text.replace(",", " ").split() if each]
        return [_whole(each) for each in parts] if get_args(annotation)[0] is int else parts
    if annotation is Any:
        return _json(text)
    return _whole(text) if int in (annotation, *get_args(annotation)) else text


def _json(text: str) -> Any:
    """JSON; a text that is one template needs no quotes around it."""
    if text.startswith("{{") and text.endswith("}}"):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None


def _pairs(text: str) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if line.strip() and not (colon and name.strip()):
            raise ValueError(f"line {number} is no `name: value`")
        if line.strip():
            found[name.strip()] = value.strip()
    return found


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise ValueError(f"`{text[:40]}` is no whole number")
    return int(text)
