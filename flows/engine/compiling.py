"""Turns a document into a flow that can run, or says everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from flows.engine.contradictions import unusable
from flows.engine.document import RESERVED, Body, FlowDocument, Retry, Step, key_problem, version_hash
from flows.engine.explaining import in_order, model_problems, problem_at
from flows.engine.expressions import Expression, ExpressionError, parse_expression
from flows.engine.kinds import Catalogue, Kind, Role, Settings, Surroundings
from flows.engine.markers import Bare, Templated
from flows.engine.nodes import Flow, Graph, Node
from flows.engine.problems import DocumentError, Place, Problem, did_you_mean, path_text
from flows.engine.references import Scope
from flows.engine.templates import Live, Template, parse_marked, parse_template
from flows.engine.wiring import Wiring, wire

MAX_BODIES = 5


def compile_flow(
    document: FlowDocument, kinds: Mapping[str, Kind], catalogue: Catalogue | None = None, *, lenient: bool = False
) -> Flow:
    """The flow of a document. With `lenient`, what the catalogue lacks is a warning. Raises DocumentError with every problem."""
    return _Compiler(document, kinds, catalogue, lenient).flow()


@dataclass(frozen=True, slots=True)
class Level:
    """One graph of a document, as far as it can be read: the names that its expressions have, and the steps whose settings are
    valid."""

    scope: Scope
    kinds: Mapping[str, Kind]
    settings: Mapping[str, Settings]


@dataclass(frozen=True, slots=True)
class Survey:
    """What is known of a document that need not run. `levels` are its graphs by their place, the flow's own at `()`."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    levels: Mapping[Place, Level]


def survey_flow(document: FlowDocument, kinds: Mapping[str, Kind], catalogue: Catalogue | None = None) -> Survey:
    """Everything that `compile_flow` would find, with what is known all the same."""
    compiler = _Compiler(document, kinds, catalogue, lenient=False)
    compiler.compiled()
    return Survey(tuple(in_order(list(dict.fromkeys(compiler.problems)))), tuple(in_order(compiler.warnings)), compiler.surveyed)


class _Prepared:
    """A step whose settings are valid: what is known of it before its edges are."""

    __slots__ = ("bare_places", "body", "expressions", "fields", "key", "kind", "place", "settings", "step")

    def __init__(self, key: str, step: Step, kind: Kind, settings: Settings, place: Place) -> None:
        self.key, self.step, self.kind, self.settings, self.place = key, step, kind, settings, place
        self.body: tuple[Body, Place] | None = None
        self.fields: list[tuple[str, str, Template]] = []  # field name, its key in the document, template
        self.expressions: dict[str | tuple[str | int, ...], Expression] = {}
        self.bare_places: dict[str | tuple[str | int, ...], Place] = {}


class _Compiler:
    def __init__(self, document: FlowDocument, kinds: Mapping[str, Kind], catalogue: Catalogue | None, lenient: bool) -> None:
        self.document = document
        self.kinds = kinds
        self.catalogue = catalogue
        self.lenient = lenient
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.state_keys: set[str] = set(document.state)
        self.surveyed: dict[Place, Level] = {}

    def flow(self) -> Flow:
        graph, handling = self.compiled()
        if self.problems:
            unique = list(dict.fromkeys(self.problems))
            raise DocumentError(in_order(unique))
        return Flow(self.document, graph, version_hash(self.document), tuple(in_order(self.warnings)), handling)

    def compiled(self) -> tuple[Graph, Graph | None]:
        """The flow's graph and that of its handler of failures, as far as they are right; `problems` says what is not."""
        document = self.document
        if document.input is not None:
            for place, message in unusable(document.input):
                self.problem(("input", *place), message)
        top = Body.model_construct(steps=document.steps, edges=document.edges, output=document.output)
        levels = self.prepare(top, (), 0)
        handler = None
        if document.on_error is not None:
            handler = Body.model_construct(steps=document.on_error.steps, edges=document.on_error.edges, output=None)
            levels |= self.prepare(handler, ("on_error",), 1)
        graph, scope = self.graph(top, (), levels, {})
        handling = None
        if handler is not None:
            handling, _ = self.graph(handler, ("on_error",), levels, {}, scope, behind_error=True)
        return graph, handling

    def problem(self, place: Place, message: str, mend: str = "") -> None:
        self.problems.append(problem_at(place, message, mend, self.document.places))

    # --- first the steps, bodies included, so that what they set is known to every expression

    def prepare(self, body: Body, place: Place, depth: int) -> dict[Place, dict[str, _Prepared]]:
        """The steps of a graph and of the bodies in it, by the place of the graph."""
        levels: dict[Place, dict[str, _Prepared]] = {place: {}}
        if depth > MAX_BODIES:
            self.problem(place, f"bodies are nested more than {MAX_BODIES} deep", "Flatten them.")
            return levels
        if all(self._is_note(step) for step in body.steps.values()):
            self.problem((*place, "steps"), "there are no steps", "Add one, and the edge `start -> <its key>`.")
        for key, step in body.steps.items():
            here: Place = (*place, "steps", key)
            wrong = key_problem(key)
            if wrong:
                self.problem(here, *wrong)
            prepared = self.step(key, step, here)
            if prepared is None:
                continue
            levels[place][key] = prepared
            self.state_keys |= prepared.kind.state_keys(prepared.settings)
            if prepared.body is not None:
                levels |= self.prepare(*prepared.body, depth + 1)
        return levels

    def step(self, key: str, step: Step, place: Place) -> _Prepared | None:
        kind = self.kinds.get(step.kind)
        if kind is None:
            self.problem((*place, "kind"), f"unknown kind `{step.kind[:60]}`", did_you_mean(step.kind, self.kinds))
            return None
        for name in ("timeout", "deadline"):
            duration = getattr(step, name)
            if duration is not None and duration.seconds <= 0:
                self.problem((*place, name), f"`{name}` must be longer than nothing", "Write one like 30s, or remove it.")
        try:
            settings = kind.Settings.model_validate(step.with_)
        except ValidationError as error:
            self.problems += model_problems(error, kind.Settings, self.document.places, (*place, "with"))
            return None
        prepared = _Prepared(key, step, kind, settings, place)
        marks = _marks_of(kind.Settings)
        for name, field in kind.Settings.model_fields.items():
            shown = field.alias or name
            value = getattr(settings, name)
            if isinstance(value, Body):
                prepared.body = (value, (*place, "with", shown))
                continue
            tree = self.marked(value, marks[name], (name,), (*place, "with", shown), prepared)
            errors: list[ExpressionError] = []
            template = parse_marked(tree, errors)
            for wrong in errors:
                self.problem((*place, "with", shown, *wrong.path), str(wrong))
            prepared.fields.append((name, shown, template))
        return prepared

    def marked(self, value: Any, marks: Marks, path: tuple[str | int, ...], place: Place, prepared: _Prepared) -> Any:
        """The value of a field with these marks as JSON, its templates in `Live`; bare expressions are noted."""
        if Bare in marks and isinstance(value, str):
            key: str | tuple[str | int, ...] = str(path[0]) if len(path) == 1 else path
            try:
                prepared.expressions[key] = parse_expression(value)
                prepared.bare_places[key] = place
            except ExpressionError as error:
                braces = value.strip().startswith("{{")
                self.problem(place, str(error), "Write the expression without braces here." if braces else "")
            return value
        if Templated in marks and not _holds_models(value):
            return Live(_as_json(value))
        if isinstance(value, BaseModel):
            inner, of_parts = {}, _marks_of(type(value))
            for name, part in type(value).model_fields.items():
                shown = part.alias or name
                inner[name] = self.marked(getattr(value, name), of_parts[name], (*path, name), (*place, shown), prepared)
            return inner
        if isinstance(value, (list, tuple)):
            return [self.marked(item, marks, (*path, index), (*place, index), prepared) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.marked(item, marks, (*path, key), (*place, key), prepared) for key, item in value.items()}
        return _as_json(value)

    # --- then edges and references

    def graph(
        self,
        body: Body,
        place: Place,
        levels: Mapping[Place, dict[str, _Prepared]],
        extra: Mapping[str, Mapping[str, Any] | None],
        outer: Scope | None = None,
        container: _Prepared | None = None,
        *,
        behind_error: bool = False,
    ) -> tuple[Graph, Scope]:
        """The graph of a body (`extra` are the names that its container gives), and the names at its end."""
        steps = levels.get(place, {})
        notes = {key for key, step in body.steps.items() if self._is_note(step)}
        keys = [key for key in body.steps if key not in notes]
        ports = {key: self.ports(steps[key]) if key in steps else None for key in keys}
        wiring, found = wire(body.edges, keys, notes, ports)
        for below, message, mend in found:
            self.problem((*place, *below), message, mend)
        scope = Scope(
            wiring,
            lambda key: steps[key].kind.known_output(steps[key].settings, self.catalogue) if key in steps else None,
            self.document.input,
            frozenset(self.state_keys),
            extra,
            outer,
            container.key if container is not None else None,
            behind_error
            or (
                (outer is not None and container is not None)
                and (outer.error_outside or container.key in outer.wiring.behind_error)
            ),
        )
        level = Level(scope, {key: step.kind for key, step in steps.items()}, {key: step.settings for key, step in steps.items()})
        self.surveyed[place] = level
        slugs = {key: kind.slug for key, kind in level.kinds.items()}
        nodes: dict[str, Node] = {}
        for key in keys:
            prepared = steps.get(key)
            if prepared is None:
                continue
            self.references(prepared, scope)
            self.faults(prepared, slugs, level.settings, wiring)
            inner = None
            if prepared.body is not None:
                names = {**extra, **prepared.kind.body_names(prepared.settings)}
                inner, _ = self.graph(*prepared.body, levels, names, scope, prepared)
            nodes[key] = _node(prepared, len(nodes), wiring, ports[key] or frozenset(), inner)
        if container is not None:
            self.closing(container, scope)
        return Graph(nodes, tuple(wiring.start), self.output(body, place, scope)), scope

    def _is_note(self, step: Step) -> bool:
        kind = self.kinds.get(step.kind)
        return kind is not None and kind.role is Role.NOTE

    def ports(self, prepared: _Prepared) -> frozenset[str]:
        ports = prepared.kind.ports(prepared.settings)
        for port in ports:
            if port == "error" or (key_problem(port) is not None and port not in RESERVED):
                self.problem(
                    (*prepared.place, "with"),
                    f"`{port[:60]}` cannot be the name of a port",
                    "Use small letters, digits and underscores.",
                )
        return (ports | {"done"} if prepared.step.on_error == "continue" else ports) - {"error"}

    def references(self, prepared: _Prepared, scope: Scope) -> None:
        for _, shown, template in prepared.fields:
            for below, path in template.uses:
                wrong = scope.fault(path, prepared.key)
                if wrong:
                    self.problem((*prepared.place, "with", shown, *below), *wrong)
        own = prepared.kind.local_names(prepared.settings)
        for key, expression in prepared.expressions.items():
            if key in prepared.kind.closing:
                continue
            for path in expression.references:
                if path[0] in own:
                    continue
                wrong = scope.fault(path, prepared.key)
                if wrong:
                    self.problem(prepared.bare_places[key], *wrong)

    def closing(self, prepared: _Prepared, scope: Scope) -> None:
        """Checks the expressions that a container evaluates at the end of its body, which has this scope."""
        for key in prepared.kind.closing & prepared.expressions.keys():
            for path in prepared.expressions[key].references:
                wrong = scope.fault(path, None)
                if wrong:
                    self.problem(prepared.bare_places[key], *wrong)

    def faults(self, prepared: _Prepared, kinds: Mapping[str, str], settings: Mapping[str, Settings], wiring: Wiring) -> None:
        """Notes what the kind finds wrong with the step, beside the others of its graph, whose kinds and settings these are."""
        around = Surroundings(
            prepared.key,
            kinds,
            settings,
            lambda port: wiring.downstream(prepared.key, port),
            self.catalogue,
            self.lenient,
        )
        for fault in prepared.kind.faults(prepared.settings, around):
            found = problem_at((*prepared.place, "with", *fault.field), fault.message, fault.mend, self.document.places)
            (self.warnings if fault.warning else self.problems).append(found)

    def output(self, body: Body, place: Place, scope: Scope) -> Template | None:
        if body.output is None:
            return None
        errors: list[ExpressionError] = []
        template = parse_template(body.output, errors)
        for error in errors:
            self.problem((*place, "output", *error.path), str(error))
        for below, path in template.uses:
            wrong = scope.fault(path, None)
            if wrong:
                self.problem((*place, "output", *below), *wrong)
        return template


def _node(prepared: _Prepared, index: int, wiring: Wiring, ports: frozenset[str], body: Graph | None) -> Node:
    step, key = prepared.step, prepared.key
    return Node(
        key=key,
        index=index,
        kind=prepared.kind,
        settings=prepared.settings,
        role=prepared.kind.role_of(prepared.settings),
        label=step.label,
        retry=step.retry or Retry(),
        timeout=step.timeout.seconds if step.timeout is not None else None,
        deadline=_deadline(step, prepared.kind.role_of(prepared.settings)),
        limits=step.limits,
        join=step.join,
        on_error=step.on_error,
        ports=ports,
        incoming=tuple(wiring.incoming.get(key, ())),
        outgoing={port: tuple(targets) for port, targets in wiring.outgoing.get(key, {}).items()},
        body=body,
        expressions=prepared.expressions,
        where=path_text(prepared.place),
        fixed={name: template.render({}) for name, _, template in prepared.fields if template.static},
        templates=tuple(field for field in prepared.fields if not field[2].static),
    )


def _deadline(step: Step, role: Role) -> float | None:
    """Seconds that the step may take. Where it neither waits nor holds others, a limit on its duration is one, too."""
    found = [step.deadline.seconds] if step.deadline is not None else []
    if role not in {Role.STRUCTURE, Role.WAIT} and step.limits is not None and step.limits.duration is not None:
        found.append(step.limits.duration.seconds)
    return min(found, default=None)


# --- the markers of a field


Marks = frozenset[type]


def templated_fields(settings: type[Settings]) -> frozenset[str]:
    """The names of the fields that are templates as a whole."""
    return frozenset(name for name, marks in _marks_of(settings).items() if Templated in marks)


@cache
def _marks_of(model: type[BaseModel]) -> Mapping[str, Marks]:
    """The marks of each field. Reading annotations takes longer than the rest of compiling a step, and classes do not change."""
    return {name: _field_marks(field) for name, field in model.model_fields.items()}


def _field_marks(field: Any) -> Marks:
    marks = {type(mark) for mark in field.metadata if isinstance(mark, (Bare, Templated))}
    return frozenset(marks | set(_annotation_marks(field.annotation)))


def _annotation_marks(annotation: Any) -> Iterator[type]:
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, (Bare, Templated)):
            yield type(mark)
    for part in get_args(annotation):
        yield from _annotation_marks(part)


def _holds_models(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_models(item) for item in value)
    if isinstance(value, dict):
        return any(_holds_models(item) for item in value.values())
    return isinstance(value, BaseModel)


def _as_json(value: Any) -> Any:
    """A settings value as JSON: models as objects by field name, amounts as text, durations as they were written."""
    if isinstance(value, BaseModel):
        return {name: _as_json(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_as_json(item) for item in value]
    if isinstance(value, Enum):
        return _as_json(value.value)
    if isinstance(value, str):
        return str(value)
    return format(value, "f") if isinstance(value, Decimal) else value
