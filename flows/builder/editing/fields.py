"""The fields of a form, read off a pydantic model: each says where its value stands, how it is typed, and what it is now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flows.builder.editing.options import Option, Options
from flows.builder.editing.words import HELP, LABELS, TYPES, spoken
from flows.engine.document import Body
from flows.engine.durations import Duration
from flows.engine.markers import ArgumentsOf, Bare, Refers, Templated

LONG_TEXTS = frozenset({"prompt", "system", "content", "description", "text"})


@dataclass(frozen=True, slots=True)
class Field:
    """One control, or several under a heading.

    `pointer` leads to the value below the step or flow. `how` names the control (the templates `builder/how_*.html`). `inner` are the
    fields of a group; of a list, one group an item, each of which `blank` says how to begin.
    """

    pointer: str
    name: str
    label: str
    how: str
    value: Any = None
    is_set: bool = False
    required: bool = False
    help: str = ""
    default: Any = None
    options: Sequence[Option] = ()
    inner: Sequence[Field] = ()
    blanks: Sequence[tuple[str, str]] = ()
    expression: bool = False  # may hold {{ … }}, or is an expression

    @property
    def id(self) -> str:
        return "f" + self.pointer.replace("/", "-").replace("~", "_").replace(" ", "_")

    @property
    def text(self) -> str:
        """What a control of one text shows."""
        return self.value if isinstance(self.value, str) else "" if self.value is None else as_json(self.value)

    @property
    def placeholder(self) -> str:
        """What holds where nothing is given."""
        if self.default in (None, "", [], {}) or isinstance(self.default, (dict, list)):
            return ""
        return ("yes" if self.default else "no") if isinstance(self.default, bool) else str(self.default)

    @property
    def json(self) -> str:
        return "" if self.value is None else as_json(self.value)

    @property
    def detail(self) -> str:
        """What one wants to know of the option that is chosen."""
        return next((option.detail for option in self.options if option.value == self.value), "")

    @property
    def known(self) -> bool:
        """Whether the value is one of the options."""
        return any(option.value == self.value for option in self.options)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, (dict, list)) and value else None)


def fields_of(
    model: type[BaseModel], value: Any, options: Options, pointer: str = "", *, skip: frozenset[str] = frozenset()
) -> list[Field]:
    """The fields of a model for a value of it, which may be broken anywhere."""
    holder = value if isinstance(value, Mapping) else {}
    made = []
    for name, info in model.model_fields.items():
        shown = info.alias or name
        if shown in skip or (get_origin(info.annotation) is Literal and shown == "type"):
            continue
        made.append(_field(shown, info, holder, options, f"{pointer}/{escaped(shown)}"))
    return made


def escaped(part: str) -> str:
    """A key as a part of a JSON pointer."""
    return part.replace("~", "~0").replace("/", "~1")


def _field(name: str, info: FieldInfo, holder: Mapping[str, Any], options: Options, pointer: str) -> Field:
    value = holder.get(name)
    annotation, marks = unwrapped(info.annotation)
    marks = [*info.metadata, *marks]
    default = None if info.default is PydanticUndefined else info.default
    if info.default_factory is not None:
        default = info.default_factory()  # type: ignore[call-arg]
    made = Field(
        pointer=pointer,
        name=name,
        label=info.title or LABELS.get(name) or spoken(name),
        how="json",
        value=value,
        is_set=name in holder,
        required=info.is_required(),
        help=info.description or HELP.get(name, ""),
        default=default,
    )
    return _typed(made, annotation, marks, options, holder)


def _typed(made: Field, annotation: Any, marks: list[Any], options: Options, holder: Mapping[str, Any]) -> Field:
    refers = next((mark for mark in marks if isinstance(mark, Refers)), None)
    arguments = next((mark for mark in marks if isinstance(mark, ArgumentsOf)), None)
    origin, inner = get_origin(annotation), get_args(annotation)
    if refers is not None:
        return replace(made, how="refers", options=options.of(refers.to))
    if arguments is not None:
        return _arguments(made, options.arguments_of(arguments.field, holder.get(arguments.field)), arguments.field)
    if annotation is Duration:
        return replace(made, how="duration")
    if annotation is Decimal:
        return replace(made, how="money")
    if any(isinstance(mark, Bare) for mark in marks):
        return replace(made, how="expression", expression=True)
    if origin is Literal:
        return replace(made, how="choice", options=[Option(each, spoken(str(each))) for each in inner])
    if annotation is bool:
        return replace(made, how="box")
    if annotation in (int, float):
        return replace(made, how="number")
    if annotation is str:
        live = any(isinstance(mark, Templated) for mark in marks)
        how = ("template" if live else "text") if made.name in LONG_TEXTS else ("value" if live else "line")
        return replace(made, how=how, expression=live)
    if isinstance(annotation, type) and issubclass(annotation, Body):
        return replace(
            made, how="body", inner=fields_of(Body, made.value, options, made.pointer, skip=frozenset({"steps", "edges"}))
        )
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return replace(made, how="group", inner=fields_of(annotation, made.value, options, made.pointer))
    if origin is dict:
        return _mapping(made, inner[1], marks)
    if origin is list:
        return _list(made, inner[0], options)
    live = any(isinstance(mark, Templated) for mark in marks)
    return replace(made, how="value" if live or made.name == "output" else "json", expression=live or made.name == "output")


def _arguments(made: Field, schema: Mapping[str, Any] | None, of: str) -> Field:
    """One field an argument of the tool or value that the flow asks for, and those that its schema does not know below."""
    properties = (schema or {}).get("properties")
    if not isinstance(properties, Mapping):
        return replace(made, how="pairs", inner=_pairs(made, "value"), expression=True)
    required = (schema or {}).get("required") or []
    given = made.value if isinstance(made.value, Mapping) else {}
    rows = []
    for name in [*sorted(properties, key=lambda name: name not in required), *(name for name in given if name not in properties)]:
        found = properties.get(name)
        each: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        kind = each.get("type")
        rows.append(
            Field(
                pointer=f"{made.pointer}/{escaped(name)}",
                name=name,
                label=str(each.get("title") or name),
                how="value",
                value=given.get(name),
                is_set=name in given,
                required=name in required,
                help=" · ".join(
                    str(part)
                    for part in (
                        TYPES.get(str(kind), kind) if name in properties else f"nothing that this {of} takes",
                        each.get("description"),
                    )
                    if part
                ),
                expression=True,
            )
        )
    return replace(made, how="arguments", inner=rows)


def _mapping(made: Field, item: Any, marks: list[Any]) -> Field:
    item_type, item_marks = unwrapped(item)
    if any(isinstance(mark, AfterValidator) for mark in marks) or made.pointer == "/input":
        return replace(made, how="schema")
    if get_origin(item_type) is Literal:
        choices = [Option(each, spoken(str(each))) for each in get_args(item_type)]
        return replace(made, how="pairs", options=choices, inner=_pairs(made, "choice", choices))
    if any(isinstance(mark, Templated) for mark in item_marks):
        return replace(made, how="pairs", inner=_pairs(made, "value"), expression=True)
    return replace(made, how="pairs" if made.name == "state" else "json", inner=_pairs(made, "value"))


def _pairs(made: Field, how: str, choices: Sequence[Option] = ()) -> list[Field]:
    value = made.value if isinstance(made.value, Mapping) else made.default if not made.is_set and choices else {}
    return [
        Field(
            f"{made.pointer}/{escaped(str(key))}", str(key), str(key), how, each, True, options=choices, expression=how == "value"
        )
        for key, each in (value or {}).items()
    ]


def _list(made: Field, item: Any, options: Options) -> Field:
    item_type, marks = unwrapped(item)
    refers = next((mark for mark in marks if isinstance(mark, Refers)), None)
    if refers is not None:
        return replace(made, how="several", options=_with_given(options.of(refers.to), made.value))
    if get_origin(item_type) is Literal:
        return replace(made, how="several", options=[Option(each, spoken(str(each))) for each in get_args(item_type)])
    models = list(_models(item_type))
    if not models:
        return replace(made, how="lines")
    values = made.value if isinstance(made.value, list) else []
    groups = []
    for at, each in enumerate(values):
        model = _model_of(each, models)
        here = f"{made.pointer}/{at}"
        title = f"{_title(model).capitalize()} {at + 1}"
        short = _short(each, model, options, here)
        if short is not None:
            groups.append(Field(here, str(at), title, "item", each, True, inner=[short]))
            continue
        groups.append(Field(here, str(at), title, "item", each, True, inner=fields_of(model, each, options, here)))
    blanks = [(_title(model), as_json(_blank(model))) for model in models]
    return replace(made, how="items", inner=groups, blanks=blanks)


def _short(value: Any, model: type[BaseModel], options: Options, pointer: str) -> Field | None:
    """The field of an item that stands there as a mere name, such as the tool of a grant; None of one that is written out."""
    if not isinstance(value, str):
        return None
    name, info = next(iter(model.model_fields.items()))
    field = _field(name, info, {name: value}, options, pointer)
    return replace(field, pointer=pointer)


def _with_given(options: Sequence[Option], value: Any) -> list[Option]:
    known = {option.value for option in options}
    given = (
        [Option(str(each), f"{each} (unknown here)") for each in value or [] if each not in known]
        if isinstance(value, list)
        else []
    )
    return [*options, *given]


def unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """An annotation without `Annotated` and `| None`, and what it is marked with."""
    marks: list[Any] = []
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            marks += more
        elif origin in (Union, UnionType):
            kept = [option for option in get_args(annotation) if option is not type(None)]
            if len(kept) != 1:
                return annotation, marks
            annotation = kept[0]
        else:
            return annotation, marks


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _models(option)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def _tag(model: type[BaseModel]) -> str:
    info = model.model_fields.get("type")
    return str(get_args(info.annotation)[0]) if info is not None and get_origin(info.annotation) is Literal else ""


def _model_of(value: Any, models: Sequence[type[BaseModel]]) -> type[BaseModel]:
    tag = value.get("type") if isinstance(value, Mapping) else None
    return next((model for model in models if _tag(model) == tag), models[0])


def _title(model: type[BaseModel]) -> str:
    return spoken(_tag(model) or model.__name__).lower()


def _blank(model: type[BaseModel]) -> dict[str, Any]:
    """An item as it begins: what must be given, empty."""
    begun: dict[str, Any] = {"type": _tag(model)} if _tag(model) else {}
    for name, info in model.model_fields.items():
        annotation, _ = unwrapped(info.annotation)
        if info.is_required() and name != "type":
            literal = get_args(annotation)[:1] if get_origin(annotation) is Literal else ()
            begun[info.alias or name] = literal[0] if literal else {} if get_origin(annotation) is dict else ""
    return begun
