"""pydantic's errors as problems in our own words, each at its place in the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from flows.engine.problems import Place, Problem, did_you_mean, path_text, shorten


def model_problems(
    error: ValidationError, model: type[BaseModel], places: Mapping[Place, tuple[int, int]], prefix: Place = ()
) -> list[Problem]:
    """A ValidationError as problems with places; `prefix` is where the model's value stands in the document."""
    problems = []
    for found in error.errors(include_url=False):
        place: Place = (*prefix, *_document_place(found["loc"], model))
        message, mend = _explain(found, model)
        problems.append(problem_at(place, message, mend, places))
    return problems


def problem_at(place: Place, message: str, mend: str, places: Mapping[Place, tuple[int, int]]) -> Problem:
    """A problem with line and column of its place, or of the nearest place around it that is known."""
    known = place
    while known and known not in places:
        known = known[:-1]
    line, column = places.get(known, (None, None))
    return Problem(path_text(place), message, mend, line, column, place)


def in_order(problems: list[Problem]) -> list[Problem]:
    """Problems as they stand in the text."""
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))


def _document_place(loc: Sequence[str | int], model: type[BaseModel]) -> Place:
    """pydantic's location without what it adds for unions and key checks."""
    place: list[str | int] = []
    annotation: Any = model
    for part in loc:
        chosen = _chosen(annotation, part)
        if chosen is not None:
            annotation = chosen
            continue
        step = _inside(annotation, part)
        if step is _NOTHING:
            if isinstance(part, str) and (annotation is None or not _is_tag(part)):
                place.append(part)
            continue
        annotation = step
        place.append(part)
    return tuple(place)


_NOTHING = object()


def _chosen(annotation: Any, part: str | int) -> Any:
    """The model of a union that a tag names (pydantic puts the tag into the location)."""
    models = [option for option in _options(annotation) if isinstance(option, type) and issubclass(option, BaseModel)]
    if len(models) < 2:
        return None
    for model in models:
        for field in model.model_fields.values():
            if get_origin(field.annotation) is Literal and get_args(field.annotation) == (part,):
                return model
    return None


def _is_tag(part: str) -> bool:
    return part.startswith(("function-", "lax-", "strict-", "constrained-", "list[", "dict[", "literal[", "model-")) or part in (
        "str", "int", "float", "bool", "none", "decimal", "[key]", "is-instance", "nullable",
    ) or part[:1].isupper()  # fmt: skip


def _inside(annotation: Any, part: str | int) -> Any:
    """The annotation of a key or position within an annotation; _NOTHING where there is none."""
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel) and isinstance(part, str):
            for name, field in option.model_fields.items():
                if part in (name, field.alias):
                    return field.annotation
            if not _is_tag(part):
                return Any
        origin, inner = get_origin(option), get_args(option)
        if origin is dict and isinstance(part, str) and part != "[key]":
            return inner[1]
        if origin in (list, tuple) and isinstance(part, int):
            return inner[0] if inner else Any
        if option is Any and not (isinstance(part, str) and _is_tag(part)):
            return Any
    return _NOTHING


def _options(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [option for each in get_args(annotation) for option in _options(each)]
    return [annotation]


def _known_keys(loc: Sequence[str | int], model: type[BaseModel]) -> list[str]:
    annotation: Any = model
    for part in loc[:-1]:
        step = _chosen(annotation, part) or _inside(annotation, part)
        annotation = annotation if step is _NOTHING else step
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return [field.alias or name for name, field in option.model_fields.items()]
    return []


_EXPECTED = {
    "string_type": "this must be text",
    "int_type": "this must be a whole number",
    "int_parsing": "this must be a whole number",
    "int_from_float": "this must be a whole number",
    "float_type": "this must be a number",
    "float_parsing": "this must be a number",
    "bool_type": "this must be true or false",
    "bool_parsing": "this must be true or false",
    "list_type": "this must be a list",
    "dict_type": "this must be an object of keys and values",
    "model_type": "this must be an object of keys and values",
    "model_attributes_type": "this must be an object of keys and values",
}


def _explain(found: Any, model: type[BaseModel]) -> tuple[str, str]:
    kind, context, loc = found["type"], found.get("ctx") or {}, found["loc"]
    name = shorten(str(loc[-1]), 60) if loc else ""
    if kind == "extra_forbidden":
        return f"unknown key `{name}`", did_you_mean(name, _known_keys(loc, model))
    if kind == "missing":
        return f"`{name}` is missing", "Add it."
    if kind == "literal_error":
        given = shorten(str(found["input"]), 40)
        return f"`{given}` is not one of the choices", f"Choose {str(context.get('expected', '')).replace(chr(39), '`')}."
    if kind == "union_tag_invalid":
        return f"unknown {context['discriminator']} `{shorten(str(context['tag']), 40)}`".replace(
            "'", "`"
        ), f"Choose {context['expected_tags'].replace(chr(39), '`')}."
    if kind == "union_tag_not_found":
        return f"{context['discriminator']} is missing".replace("'", "`"), "Add it."
    if kind in _EXPECTED:
        mend = 'Put it in quotes: "…".' if kind == "string_type" and isinstance(found["input"], (int, float)) else ""
        return _EXPECTED[kind], mend
    if kind in ("greater_than_equal", "greater_than", "less_than_equal", "less_than"):
        word = kind.replace("_", " ").replace("greater than equal", "at least").replace("less than equal", "at most")
        bound = context.get("ge", context.get("gt", context.get("le", context.get("lt"))))
        return f"{shorten(str(found['input']), 40)} is out of bounds: it must be {word} {bound}", ""
    if kind == "string_too_long":
        return f"the text is longer than {context.get('max_length')} characters", "Shorten it."
    if kind in ("string_too_short", "too_short"):
        return "this must not be empty", ""
    message = str(found["msg"]).removeprefix("Value error, ")
    return (message[:1].lower() + message[1:]) if message[:2] != "`" else message, ""
