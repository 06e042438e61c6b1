"""The form of a tool: what every tool says, and beside it what its kind needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from django import forms
from pydantic import ValidationError

from flows.access.refusals import Fault, Invalid
from flows.engine.explaining import model_problems
from flows.models import ToolEntry
from flows.runs.toolbox.affected import policies_in_force
from flows.runs.toolbox.entries import ToolPart
from flows.runs.toolbox.forms import TRUST
from flows.runs.toolbox.kindfields import fields_of, meant, shown
from flows.runs.toolbox.reads import REPEATS
from flows.tools.base import ToolKind

OWN_ARGUMENTS: Final = {"flow": "", "python": "Empty: what the function's type hints say."}
TERMS: Final = ("effect", "repeat", "reversible", "trusted", "timeout", "description", "policy")
"""What a tool counts as, which has a form of its own once there is the tool."""
TOP: Final = re.compile(r"[.\[]")


class ToolForm(forms.Form):
    """Of a new tool of a kind, or of how an existing one is called. Texts of schemas stay as they were typed."""

    use_required_attribute = False

    name = forms.CharField(max_length=100, help_text="Small letters, digits, dots and hyphens, such as refunds.create.")
    description = forms.CharField(
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What it is for. Models read it, too.",
    )
    arguments = forms.CharField(required=False, label="What it takes", widget=forms.Textarea(attrs={"rows": 6}))
    result = forms.CharField(
        required=False, label="What it gives", widget=forms.Textarea(attrs={"rows": 6}), help_text="Empty where it is not known."
    )
    effect = forms.ChoiceField(choices=[("read", "Reads"), ("write", "Changes the world")])
    repeat = forms.ChoiceField(
        required=False,
        label="Repetition",
        choices=[
            ("", "As usual: what reads freely, what writes never"),
            *((slug, words.capitalize()) for slug, words in REPEATS.items()),
        ],
    )
    reversible = forms.BooleanField(required=False, label="What it does can be undone")
    trusted = forms.ChoiceField(
        required=False,
        label="Its answers",
        choices=[("", "As its kind says"), ("yes", "Are nobody else's words"), ("no", "May be anybody's words")],
    )
    timeout = forms.CharField(required=False, label="Time limit", help_text="Of one call, such as 20s. Empty: 30s.")
    policy = forms.ChoiceField(
        required=False,
        choices=lambda: [("", "none"), *policies_in_force().items()],
        label="Approval policy",
        help_text="Who decides on an agent's calls of it, where its leash asks when risky.",
    )
    max_in_flight = forms.CharField(
        required=False, label="Calls at a time", help_text="Of all workers together. Empty: any number."
    )
    known_for = forms.CharField(
        required=False,
        label="How long a key is known",
        help_text="By the service, such as 1d, where it is repeated with the same key.",
    )

    def __init__(self, kind: ToolKind, entry: ToolEntry | None = None, data: Any = None) -> None:
        super().__init__(data, initial=_initial(kind, entry), label_suffix="")
        self.kind, self.entry = kind, entry
        of_kind = fields_of(kind)
        self.of_kind = list(of_kind)
        self.fields.update(of_kind)
        self.fields["arguments"].help_text = OWN_ARGUMENTS.get(
            kind.slug, "Empty: what its kind says." if kind.arguments else "Arguments are checked against it before each call."
        )
        for name in (("name", *TERMS) if entry is not None else ()) + (("arguments",) if kind.slug == "flow" else ()):
            del self.fields[name]
        if kind.slug == "flow":
            del self.fields["max_in_flight"]
        if kind.slug not in ("http", "python"):
            del self.fields["known_for"]

    @property
    def kind_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.of_kind]

    def part(self) -> ToolPart:
        """The tool that it means; terms that are not in the form stay. Raises `Invalid` naming each field."""
        typed = {name: str(self.data.get(name, "")).strip() for name in self.fields}
        value, faults = meant(self.kind, typed)
        value["kind"] = self.kind.slug
        value |= _terms_kept(self.entry) if self.entry is not None else _terms(typed)
        for name in ("arguments", "result"):
            try:
                value[name] = _schema(typed.get(name, ""))
            except ValueError as error:
                faults.append(Fault(name, f"is no JSON Schema: {error}"))
        if typed.get("max_in_flight"):
            text = typed["max_in_flight"]
            value["max_in_flight"] = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else text
        value |= {"known_for": typed["known_for"]} if typed.get("known_for") else {}
        try:
            part = ToolPart.model_validate(value)
        except ValidationError as error:
            faults += [Fault(each.path, each.message, each.mend) for each in model_problems(error, ToolPart, {})]
        if faults:
            raise Invalid("The tool cannot be used as it is.", problems=faults)
        return part

    def take(self, faults: Iterable[Fault]) -> None:
        """Puts each fault at the field that it is about."""
        for fault in faults:
            place, inner = (*TOP.split(fault.place, maxsplit=1), "")[:2]
            where = f"{inner}: " if inner and place in self.fields else "" if place in self.fields else f"{fault.place}: "
            text = f"{where}{fault.message}"
            ended = text if text.endswith((".", "!", "?")) else f"{text}."
            self.add_error(place if place in self.fields else None, f"{ended} {fault.mend}".strip())


def _initial(kind: ToolKind, entry: ToolEntry | None) -> dict[str, Any]:
    if entry is None:
        return {"effect": "read", **({"method": "GET", "response": "json"} if kind.slug == "http" else {})}
    return {
        **shown(kind, entry.settings),
        "arguments": _written(entry.arguments),
        "result": _written(entry.result),
        "max_in_flight": entry.max_in_flight or "",
        "known_for": f"{entry.known_for:g}s" if entry.known_for else "",
    }


def _terms(typed: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"effect": typed["effect"], "description": typed["description"], "policy": typed["policy"]}
    found |= {name: typed[name] for name in ("repeat", "timeout") if typed[name]}
    return {**found, "reversible": typed["reversible"] in ("on", "yes"), "trusted": TRUST.get(typed["trusted"])}


def _terms_kept(entry: ToolEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in TERMS}


def _schema(text: str) -> Any:
    value = json.loads(text or "{}")
    if not isinstance(value, dict):
        raise ValueError("it must be an object")
    return value


def _written(schema: Any) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) if schema else ""
