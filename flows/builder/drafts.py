"""Drafts: documents that people are still writing. One may be broken anywhere and is kept all the same, with what is wrong said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from flows.access.refusals import Invalid
from flows.builder.catalogue import current
from flows.builder.checking import faults
from flows.builder.subflows import References, circle
from flows.engine.compiling import Survey, survey_flow
from flows.engine.document import OF_ANOTHER, Body, FlowDocument, Step, dump_document, key_problem, read_document, unfit
from flows.engine.kinds import Catalogue
from flows.engine.problems import DocumentError, Place, Problem
from flows.engine.writing import write_yaml
from flows.engine.yamltext import parse_yaml
from flows.steps import known_kinds

ROUNDS = 8  # of leaving out what cannot be read


class NotAFlow(Invalid):
    """This is not a flow document, so it cannot be drawn. Nothing was changed."""

    slug = "not-a-flow"


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as JSON, and as far as it can be read: `document` leaves out what has no valid form, which is what `malformed` says.
    It is None where nothing is left."""

    value: dict[str, Any]
    document: FlowDocument | None
    malformed: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """What the flow is called; empty where the draft does not say."""
        name = self.value.get("name")
        return name.strip()[:160] if isinstance(name, str) else ""

    @property
    def description(self) -> str:
        description = self.value.get("description")
        return description[:10_000] if isinstance(description, str) else ""

    @property
    def text(self) -> str:
        """The canonical YAML: what the export gives."""
        if self.document is not None and not self.malformed:
            return dump_document(self.document)
        return write_yaml(_in_order(self.value, FlowDocument))


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a draft, and what is known of it all the same (None where nothing can be read)."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    survey: Survey | None


def draft_of_text(text: str) -> Draft:
    """The draft of a YAML or JSON text. Raises `NotAFlow`, with lines."""
    try:
        parsed = parse_yaml(text)
    except DocumentError as error:
        raise NotAFlow("The text cannot be read.", problems=faults(error.problems)) from error
    return _draft(parsed.value, parsed.places)


def draft_of_value(value: Any) -> Draft:
    """The draft of JSON values. Raises `NotAFlow`."""
    problem = unfit(value)
    if problem is not None:
        raise NotAFlow(problems=faults([problem])) from DocumentError([problem])
    return _draft(value, {})


def _draft(value: Any, places: Mapping[Place, tuple[int, int]]) -> Draft:
    _require_flow(value, places)
    document, malformed = _readable(value, places)
    if document is None or malformed:
        return Draft(json.loads(json.dumps(value)), document, malformed)
    return Draft(document.as_json(), document)


def check_draft(
    draft: Draft, slug: str, team: UUID | None, catalogue: Catalogue | None = None, refers: References | None = None
) -> Checked:
    """Everything that is wrong with a draft of the flow `slug` of this team (None: everybody's). While its form is wrong, that comes
    first; the rest is looked for once it is right."""
    if draft.document is None:
        return Checked(draft.malformed, (), None)
    catalogue = catalogue if catalogue is not None else current(draft.document, team).catalogue
    survey = survey_flow(draft.document, known_kinds(), catalogue)
    if draft.malformed:
        return Checked(draft.malformed, (), survey)
    around = circle(slug, draft.document, refers)
    return Checked((*survey.problems, *([around] if around is not None else ())), survey.warnings, survey)


def _require_flow(value: Any, places: Mapping[Place, tuple[int, int]]) -> None:
    """What nobody can draw or mend in forms is refused."""
    found: list[tuple[Place, str, str]] = []
    if not isinstance(value, dict):
        found.append(((), "a flow is an object of keys and values", "Begin with `orchestrator: 1`."))
    elif value.get("orchestrator") != 1 or isinstance(value["orchestrator"], bool):
        said = "is missing" if "orchestrator" not in value else "must be 1"
        found.append((("orchestrator",), said, OF_ANOTHER))
    else:
        found += _shape_faults(value, ())
        handler = value.get("on_error")
        if isinstance(handler, dict):
            found += _shape_faults(handler, ("on_error",))
        elif handler is not None:
            found.append((("on_error",), "must be an object with steps and edges", ""))
    if not found:
        return
    listed = []
    for place, message, mend in found:
        known = next((place[:end] for end in range(len(place), -1, -1) if place[:end] in places), None)
        where = places[known] if known is not None else (None, None)
        listed.append(Problem(".".join(map(str, place)), message, mend, *where))
    raise NotAFlow(problems=faults(listed)) from DocumentError(listed)


def _shape_faults(holder: Mapping[str, Any], place: Place) -> list[tuple[Place, str, str]]:
    """Where steps are no steps and edges no edges, bodies included."""
    found: list[tuple[Place, str, str]] = []
    steps, edges = holder.get("steps", {}), holder.get("edges", [])
    if not isinstance(edges, list) or not all(isinstance(edge, str) for edge in edges):
        found.append(((*place, "edges"), "must be a list of texts", "Write edges such as `start -> classify`."))
    if not isinstance(steps, dict):
        return [*found, ((*place, "steps"), "must be an object of steps by their keys", "")]
    for key, step in steps.items():
        here = (*place, "steps", key)
        wrong = key_problem(str(key))
        if wrong is not None:
            found.append((here, *wrong))
        elif not isinstance(step, dict) or not isinstance(step.get("kind"), str) or not isinstance(step.get("with", {}), dict):
            found.append((here, "is no step", "Write one such as `{kind: note, with: {text: …}}`."))
        elif isinstance(body := step.get("with", {}).get("body", {}), dict):
            found += _shape_faults(body, (*here, "with", "body"))
        else:
            found.append(((*here, "with", "body"), "must be an object with steps and edges", ""))
    return found


def _readable(value: Any, places: Mapping[Place, tuple[int, int]]) -> tuple[FlowDocument | None, tuple[Problem, ...]]:
    """The document without the parts that have no valid form, and what is wrong with those."""
    first: tuple[Problem, ...] | None = None
    for _ in range(ROUNDS):
        try:
            return read_document(value, places), first or ()
        except DocumentError as error:
            first = error.problems if first is None else first
            value = _without(value, error.problems)
    return None, first or ()


def _without(value: Any, problems: Sequence[Problem]) -> Any:
    """A copy without the places of these problems; where something is missing, without what lacks it."""
    copy = json.loads(json.dumps(value))
    for problem in sorted(problems, key=lambda each: [str(part).zfill(9) for part in each.place], reverse=True):
        place = problem.place
        while place and not _remove(copy, place):
            place = place[:-1]
    if not copy.get("name"):
        copy["name"] = "Untitled"
    return copy


def _remove(value: Any, place: Place) -> bool:
    for part in place[:-1]:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return False
    last = place[-1]
    if isinstance(value, dict) and last in value:
        del value[last]
        return True
    if isinstance(value, list) and isinstance(last, int) and last < len(value):
        del value[last]
        return True
    return False


def _in_order(value: Any, model: type[BaseModel]) -> Any:
    """A broken document with its fixed keys in the order of the form, so that mending it moves nothing."""
    if not isinstance(value, dict):
        return value
    names = [field.alias or name for name, field in model.model_fields.items()]
    ordered = {name: value[name] for name in names if name in value} | value
    if model is not Step and isinstance(ordered.get("steps"), dict):
        ordered["steps"] = {key: _in_order(step, Step) for key, step in ordered["steps"].items()}
    if model is Step and isinstance(ordered.get("with"), dict) and isinstance(ordered["with"].get("body"), dict):
        ordered["with"] = {**ordered["with"], "body": _in_order(ordered["with"]["body"], Body)}
    return ordered


def spelled_like(value: Any, before: Any) -> Any:
    """`value` with the numbers of `before` where they are equal: browsers do not tell 1.0 from 1."""
    if isinstance(value, dict) and isinstance(before, dict):
        return {key: spelled_like(item, before.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(before, list):
        return [spelled_like(item, before[at] if at < len(before) else None) for at, item in enumerate(value)]
    numbers = isinstance(value, (int, float)) and isinstance(before, (int, float))
    return before if numbers and not isinstance(value, bool) and not isinstance(before, bool) and value == before else value
