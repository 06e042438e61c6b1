"""The form of one step, or of the flow itself: its fields in sections, folded to what differs from what holds anyway."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.access.installation import money
from flows.builder.editing.fields import Field, fields_of
from flows.builder.editing.options import Options
from flows.engine.document import FlowDocument, Step
from flows.engine.kinds import Kind, Role
from flows.engine.problems import Place
from flows.steps import known_kinds


@dataclass(frozen=True, slots=True)
class Section:
    """Fields under a heading; `open` where one of them is set. `summary` says in the heading what holds while it is closed."""

    title: str
    fields: Sequence[Field]
    summary: str = ""
    begins: bool = False  # one begins here

    @property
    def open(self) -> bool:
        return self.begins or any(field.is_set for field in self.fields)


@dataclass(frozen=True, slots=True)
class HandlerStep:
    """A step that runs where a run is about to fail, as the flow's form lists it."""

    key: str
    label: str
    icon: str


@dataclass(frozen=True, slots=True)
class Form:
    """What the inspector shows. `place` is where the step stands, `()` for the flow; `main` is always seen. The flow's form lists the
    steps of its `handler`, and the kinds that it can take (`handling`)."""

    place: Place
    title: str
    kind: Kind | None
    slug: str
    main: Sequence[Field]
    sections: Sequence[Section]
    handler: Sequence[HandlerStep] = ()
    handling: Sequence[Kind] = ()

    @property
    def is_handling(self) -> bool:
        """Whether the step runs where a run is about to fail."""
        return self.place[:1] == ("on_error",)

    @property
    def key(self) -> str:
        return str(self.place[-1]) if self.place else ""


def form_at(value: Mapping[str, Any], place: Place, options: Options) -> Form | None:
    """The form of the step at a place of a document, which may be broken anywhere; None where no step stands there."""
    if not place:
        return flow_form(value, options)
    holder: Any = value
    for part in place[:-1]:
        holder = holder.get(part) if isinstance(holder, Mapping) else None
    step = holder.get(place[-1]) if isinstance(holder, Mapping) else None
    if not isinstance(step, Mapping):
        return None
    return step_form(step, place, options.beside(holder))


def step_form(step: Mapping[str, Any], place: Place, options: Options) -> Form:
    slug = str(step.get("kind", ""))
    kind = known_kinds().get(slug)
    common = {field.name: field for field in fields_of(Step, step, options, skip=frozenset({"kind", "with"}))}
    label = dataclasses.replace(common["label"], label="Name", default=str(place[-1]).replace("_", " ").capitalize())
    settings = fields_of(kind.Settings, step.get("with"), options, "/with") if kind is not None else []
    main = _shown(kind, settings) if kind is not None else []
    more = [field for field in settings if field not in main]
    sections = [Section("More settings", more)] if more else []
    if kind is None:
        holding = step.get("with")
        main = [Field("/with", "with", "Settings", "json", holding, True)]
    if kind is not None and kind.role is not Role.NOTE:
        sections += [
            Section("When it fails", [common[name] for name in ("retry", "on_error", "timeout", "deadline")], _failing(step)),
            Section("Limits", [common["limits"]], _limited(step)),
            Section(
                "Several steps lead here", [common["join"]], "waits for all" if step.get("join") != "any" else "one is enough"
            ),
        ]
    title = kind.label if kind is not None else f"{slug} (not installed)"
    return Form(place, title, kind, slug, [label, *main], sections)


def _shown(kind: Kind, settings: Sequence[Field]) -> list[Field]:
    """What is always seen: what the kind puts in front, what a new step has, what must be given and what is set."""
    first = list(kind.form)
    kept = [field for field in settings if field.name in first]
    rest = [
        field for field in settings if field not in kept and (field.required or field.is_set or field.name in kind.begins_with)
    ]
    return [*sorted(kept, key=lambda field: first.index(field.name)), *rest]


def flow_form(value: Mapping[str, Any], options: Options) -> Form:
    fields = {
        field.name: field
        for field in fields_of(FlowDocument, value, options, skip=frozenset({"orchestrator", "steps", "edges", "layout"}))
    }
    sections = [
        Section("Input", [fields["input"]], "asks for nothing" if not value.get("input") else "", not value.get("steps")),
        Section("Limits of a run", [fields["limits"]], _limited(value)),
        Section("Output", [fields["output"]], "nothing" if value.get("output") is None else ""),
        Section("State", [fields["state"]], "none" if not value.get("state") else ""),
    ]
    main = [fields["name"], fields["description"]]
    return Form((), "Flow", None, "", main, sections, _handler(value), _handling())


def _handling() -> list[Kind]:
    """Kinds that a handler takes in the form: those without a body, which is drawn."""
    return [kind for kind in known_kinds().values() if kind.role not in (Role.NOTE, Role.STRUCTURE)]


def _handler(value: Mapping[str, Any]) -> list[HandlerStep]:
    handler = value.get("on_error")
    steps = handler.get("steps") if isinstance(handler, Mapping) else None
    if not isinstance(steps, Mapping):
        return []
    kinds = known_kinds()
    found = []
    for key, step in steps.items():
        read = step if isinstance(step, Mapping) else {}
        kind = kinds.get(str(read.get("kind", "")))
        label = str(read.get("label") or key.replace("_", " ").capitalize())
        found.append(HandlerStep(key, label, kind.icon if kind is not None else Kind.icon))
    return found


def _failing(step: Mapping[str, Any]) -> str:
    retry = step.get("retry")
    attempts = retry.get("attempts", 1) if isinstance(retry, Mapping) else 1
    said = "one attempt" if attempts == 1 else f"{attempts} attempts"
    return f"{said}, then {'goes on' if step.get('on_error') == 'continue' else 'fails'}"


def _limited(value: Mapping[str, Any]) -> str:
    limits = value.get("limits")
    if not isinstance(limits, Mapping) or not limits:
        return "none"
    return money(str(limits["cost"])) if limits.get("cost") is not None else "set"
