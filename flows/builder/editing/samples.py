"""What expressions would see: the names at a step, with the values of a run that went before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.access.actor import Actor
from flows.access.masking import mask_of
from flows.access.pins import pins_of
from flows.access.querysets import runs_for
from flows.engine.compiling import Level, Survey
from flows.engine.courses import HANDLER
from flows.engine.expressions import ExpressionError, parse_expression
from flows.engine.frames import NOTHING
from flows.engine.problems import Place
from flows.engine.references import ERROR, RUN, Scope
from flows.models import Attempt, Flow

MOST_STEPS = 400
LONGEST = 200_000  # characters of an output that is looked at
FIRST_ITEMS = r"^[^\[]*(\[0\][^\[]*)*$"


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of one run: its input, and the outputs by path (of bodies, the first item's)."""

    label: str = ""
    input: Any = None
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.label)


NO_SAMPLE = Sample()


SOURCES = ("pinned", "test", "last")
"""Where samples come from; each is followed by those behind it where it says nothing."""


def sample_from(actor: Actor, flow: Flow, source: str) -> Sample:
    """The values of the first of these sources that has them: pins, the last test, the last run."""
    wanted = SOURCES[SOURCES.index(source) :] if source in SOURCES else ()
    found = NO_SAMPLE
    for name in wanted:
        other = pinned(flow) if name == "pinned" else last_run(actor, flow, "test" if name == "test" else "live")
        if other and found:
            found = Sample(
                f"{found.label} › {other.label}",
                other.input if found.input is None else found.input,
                {**other.outputs, **found.outputs},
                {**other.state, **found.state},
                found.run or other.run,
            )
        elif other:
            found = other
    return found


def pinned(flow: Flow) -> Sample:
    """The pinned results of the flow's draft, without what is hidden of them."""
    outputs: dict[str, Mapping[str, Any]] = {}
    state: dict[str, Any] = {}
    for each in pins_of(flow):
        outputs[each.pin.path] = {**NOTHING, "output": each.output, "outcome": each.pin.port or None}
        state |= each.state or {}
    return Sample("pinned", None, outputs, state) if outputs else NO_SAMPLE


def last_run(actor: Actor, flow: Flow, purpose: str = "live") -> Sample:
    """The newest run (or test) of the flow that came to an end and that one may see, without what is hidden of it: two queries."""
    run = runs_for(actor).filter(flow=flow, purpose=purpose, ended_at__isnull=False).order_by("-id").first()
    if run is None:
        return NO_SAMPLE
    mask = mask_of(run)
    rows = Attempt.objects.filter(run=run, pass_number=run.pass_number, path__regex=FIRST_ITEMS).order_by("seq")
    outputs: dict[str, Mapping[str, Any]] = {}
    state: dict[str, Any] = {}
    for path, status, port, output, changed, error in rows.values_list("path", "status", "port", "output", "state", "error")[
        :MOST_STEPS
    ]:
        if status == "succeeded":
            outputs[path] = {**NOTHING, "output": mask.value(_read(output)), "outcome": port or None}
        elif error:
            said = mask.value(_read(error) or {})
            outputs.setdefault(path, {**NOTHING, "error": {**said, "step": path, "attempts": 1}})
        state |= mask.value(_read(changed) or {})
    about = {"id": run.public_id, "number": run.number, "flow": flow.slug, "tags": run.tags}
    return Sample(f"{'test' if purpose == 'test' else 'run'} #{run.number}", mask.value(_read(run.input)), outputs, state, about)


def _read(text: str | None) -> Any:
    return json.loads(text) if text and len(text) <= LONGEST else None


def names_at(sample: Sample, survey: Survey, place: Place) -> dict[str, Any]:
    """The names of an expression of the step at `place`, as that run would give them."""
    names: dict[str, Any] = {"input": sample.input, "state": dict(sample.state), "run": dict(sample.run)}
    steps: dict[str, Any] = {}
    prefix = ""
    flow = survey.levels.get(()) if place[:1] == ("on_error",) else None
    if flow is not None:  # its error handler sees all of its steps
        steps |= {name: sample.outputs.get(name, NOTHING) for name in flow.scope.wiring.positions}
        prefix = f"{HANDLER}."
    for graph, key in levels_down(place):
        level = survey.levels.get(graph)
        if level is None:
            break
        steps |= {name: sample.outputs.get(prefix + name, NOTHING) for name in level.scope.wiring.positions}
        names["steps"] = steps
        failed = next((each["error"] for each in sample.outputs.values() if each.get("error")), None)
        if failed:
            names["error"] = failed
        if graph_below(place, graph, key):
            names |= _item(level, key, names)
            prefix += f"{key}[0]."
    return names


def levels_down(place: Place) -> Iterator[tuple[Place, str]]:
    """The graphs from the flow's own down to the one that a step stands in, each with the key of the step on the way."""
    for at, part in enumerate(place):
        if part == "steps" and at + 1 < len(place):
            yield place[:at], str(place[at + 1])


def graph_below(place: Place, graph: Place, key: str) -> bool:
    """Whether `place` leads on into the body of that step."""
    return len(place) > len(graph) + 2


def _item(level: Level, key: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """What the body of a container sees of its first item."""
    settings = level.settings.get(key)
    over = getattr(settings, "over", None)
    found: dict[str, Any] = {"index": 0, "loop": {"index": 0}}
    if isinstance(over, str):
        try:
            items = parse_expression(over).evaluate(names)
        except ExpressionError:
            items = None
        item = items[0] if isinstance(items, list) and items else None
        found["item"] = item
        if getattr(settings, "as_", None):
            found[settings.as_] = item  # type: ignore[union-attr]
    return found


def scope_of(survey: Survey | None, place: Place) -> tuple[Scope | None, str | None]:
    """The scope of the step at a place, and its key; for the flow itself, its own scope at the end."""
    graph, key = (place[:-2], str(place[-1])) if len(place) >= 2 else ((), None)
    level = survey.levels.get(graph) if survey is not None else None
    return (level.scope if level is not None else None), key


@dataclass(frozen=True, slots=True)
class Value:
    """Something that an expression can name: where it comes from, how it is written, its type, and a sample (JSON) where there is
    one."""

    group: str
    path: str
    type: str
    sample: str | None = None


def values_at(
    scope: Scope, at: str | None, local: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str, Mapping[str, Any] | None]]:
    """What can be named at a step: group, path, schema. Only what comes before it."""
    yield from _fields("Input", "input", scope.input_schema)
    here: Scope | None = scope
    while here is not None:
        for key in here.wiring.positions:
            if at is None or here.wiring.is_upstream(key, at):
                yield from _fields(f"Step {key}", f"steps.{key}.output", here.output_schema(key))
        at, here = here.container, here.outer
    for name in sorted(local):
        yield "Here", name, None
    for name, schema in scope.extra.items():
        yield from _fields("This item", name, schema)
    for key in sorted(scope.state_keys):
        yield "State", f"state.{key}", None
    if scope.error_outside or (at is not None and at in scope.wiring.behind_error):
        yield from _fields("Error", "error", ERROR)
    yield from _fields("Run", "run", RUN)


def _fields(group: str, path: str, schema: Mapping[str, Any] | None, depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    yield group, path, schema
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if isinstance(properties, Mapping) and depth < 3:
        for name, below in properties.items():
            written = f".{name}" if name.isidentifier() else f"[{json.dumps(name)}]"
            yield from _fields(group, path + written, below if isinstance(below, Mapping) else None, depth + 1)


def type_of(schema: Any) -> str:
    """The type that a schema gives, in a word."""
    if not isinstance(schema, Mapping):
        return "any"
    if isinstance(schema.get("enum"), list):
        return "string" if all(isinstance(each, str) for each in schema["enum"]) else "any"
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(map(str, kind))
    return str(kind) if kind else "object" if "properties" in schema else "any"
