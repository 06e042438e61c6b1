"""The flow document, version 1, as pydantic models: read with every problem at its place, written in one canonical form."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue, models_json_schema
from pydantic_core import PydanticCustomError, core_schema

from flows.engine.durations import Duration
from flows.engine.explaining import in_order, model_problems, problem_at
from flows.engine.kinds import Kind
from flows.engine.problems import DocumentError, Place, Problem, listed, path_text, shorten
from flows.engine.writing import write_yaml
from flows.engine.yamltext import MAX_BYTES, MAX_DEPTH, MAX_INTEGER, MAX_NODES, SourceFloat, parse_yaml

KEY = r"^[a-z][a-z0-9_]*$"
MAX_KEY = 64
RESERVED = frozenset({"start", "input", "state", "run", "item", "index", "loop", "error"})

ErrorSlug = Literal[
    "rate_limit",
    "timeout",
    "unavailable",
    "context_too_long",
    "refused",
    "invalid_output",
    "bad_request",
    "bad_key",
    "unknown_outcome",
]


def key_problem(key: str) -> tuple[str, str] | None:
    """Message and mend of a step key that cannot be used, else None."""
    if key in RESERVED:
        return f"the key `{key}` is reserved", f"Choose another; reserved are {listed(sorted(RESERVED))}."
    if len(key) > MAX_KEY:
        return f"the key `{shorten(key, 40)}` is longer than {MAX_KEY} characters", "Shorten it; `label` takes a long name."
    if not re.fullmatch(r"[a-z][a-z0-9_]*", key):
        return (
            f"the key `{shorten(key, 40)}` is not allowed",
            "Use small letters, digits and underscores, and begin with a letter.",
        )
    return None


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise PydanticCustomError("money", "an amount of money is a number such as 0.50")
    text = getattr(value, "source", None) or str(value)
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{0,10})?|\.[0-9]{1,10}", text):
        raise PydanticCustomError("money", "`{text}` is not an amount of money; write one such as 0.50", {"text": text[:40]})
    return Decimal(text)


Money = Annotated[
    Decimal,
    BeforeValidator(_exact),
    PlainSerializer(lambda amount: format(amount, "f"), return_type=str, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0, "x-format": "money"}),
]
"""An exact amount: YAML's `0.50` is Decimal("0.50"), and so is the text "0.50" of a JSON form."""


def _plain(value: Any) -> Any:
    """A free JSON value without the source texts of its numbers."""
    if isinstance(value, SourceFloat):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _plain_object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise PydanticCustomError("mapping", "this must be an object of keys and values")
    return _plain(value)


JSONValue = Annotated[Any, BeforeValidator(_plain)]
JSONObject = Annotated[dict[str, Any], BeforeValidator(_plain_object)]


class Part(BaseModel):
    """Base of the document's parts: strict, frozen, and refusing unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


class Edge(str):  # noqa: SLOT000  (it keeps what it was read as)
    """`from[.port] -> to`, written without the port where it is `done`."""

    source: str
    port: str
    target: str

    def __new__(cls, text: str) -> Self:
        found = cls._FORM.fullmatch(text)
        if not found:
            raise ValueError(f"`{shorten(text, 60)}` is not an edge; write `from -> to` or `from.port -> to`")
        source, port, target = found[1], found[2] or "done", found[3]
        self = super().__new__(cls, f"{source} -> {target}" if port == "done" else f"{source}.{port} -> {target}")
        self.source, self.port, self.target = source, port, target
        return self

    _FORM: ClassVar[re.Pattern[str]] = re.compile(r"\s*([\w-]{1,200})(?:\.([\w-]{1,200}))?\s*->\s*([\w-]{1,200})\s*")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        pattern = r"^\s*[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?\s*->\s*[a-z][a-z0-9_]*\s*$"
        return {"type": "string", "pattern": pattern, "examples": ["start -> classify", "classify.error -> notify"]}

    @classmethod
    def _validate(cls, value: Any) -> Edge:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("edge", "an edge is a text such as `start -> classify`")
        try:
            return cls(value)
        except ValueError as error:
            raise PydanticCustomError("edge", "{reason}", {"reason": str(error)}) from None


class Limits(Part):
    """What a flow or step may use, and what happens when it is used up."""

    cost: Money | None = None
    tokens: int | None = Field(default=None, ge=0)
    steps: int | None = Field(default=None, ge=1)
    duration: Duration | None = None
    at_limit: Literal["pause", "cheaper", "finish", "stop"] = "pause"


class Retry(Part):
    """When and how often a step is tried again. `attempts` counts the first; without `on`, what may help is retried."""

    attempts: int = Field(default=1, ge=1, le=100)
    backoff: Literal["exponential", "linear", "fixed"] = "exponential"
    first: Duration = Duration("1s")
    max: Duration = Duration("1m")
    on: list[ErrorSlug] | None = None

    def delay(self, failed: int) -> float:
        """Seconds to wait after this many failed attempts, without jitter."""
        first = self.first.seconds
        if self.backoff == "exponential":
            first *= 2.0 ** min(max(failed, 1) - 1, 40)
        elif self.backoff == "linear":
            first *= max(failed, 1)
        return min(first, self.max.seconds)


class Step(Part):
    """One step. `with` is checked by its kind when the flow is compiled."""

    kind: str
    label: str | None = Field(default=None, max_length=200)
    with_: JSONObject = Field(default_factory=dict, alias="with")
    retry: Retry | None = None
    timeout: Duration | None = None
    deadline: Duration | None = None
    limits: Limits | None = None
    join: Literal["all", "any"] = "all"
    on_error: Literal["fail", "continue"] = "fail"


class Body(Part):
    """The steps of a map or loop."""

    steps: dict[str, Step] = Field(default_factory=dict)
    edges: list[Edge] = Field(default_factory=list)
    output: JSONValue = None


def body_of(step: Step) -> Body | None:
    """The body of a map or loop; None where there is none, or it is not one yet."""
    if not isinstance(step.with_.get("body"), Mapping):
        return None
    try:
        return Body.model_validate(step.with_["body"])
    except ValueError:
        return None


class Handler(Part):
    """What a flow does when it is about to fail: steps with `error` in scope, at paths that begin with `error.`"""

    steps: dict[str, Step] = Field(default_factory=dict)
    edges: list[Edge] = Field(default_factory=list)


class FlowDocument(Part):
    """A flow, as it is written. `places` has line and column of its parts where it came from text."""

    orchestrator: Literal[1]
    name: str = Field(min_length=1, max_length=200)
    description: str = Field(default="", max_length=10_000)
    input: JSONObject | None = None
    limits: Limits | None = None
    state: JSONObject = Field(default_factory=dict)
    steps: dict[str, Step] = Field(default_factory=dict)
    edges: list[Edge] = Field(default_factory=list)
    output: JSONValue = None
    on_error: Handler | None = None
    layout: JSONObject = Field(default_factory=dict)

    _places: Mapping[Place, tuple[int, int]] = PrivateAttr(default_factory=dict)

    @property
    def places(self) -> Mapping[Place, tuple[int, int]]:
        return self._places

    def as_json(self) -> dict[str, Any]:
        """The document as JSON values, in canonical order of the fixed keys, with only what was written; money is text."""
        value = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert isinstance(value, dict)
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlowDocument) and self.as_json() == other.as_json()

    __hash__ = None  # type: ignore[assignment]


def parse_document(source: str | bytes) -> FlowDocument:
    """The document of a YAML or JSON text. Raises DocumentError with every problem of its form."""
    parsed = parse_yaml(source)
    return read_document(parsed.value, parsed.places)


def load_document(value: Any) -> FlowDocument:
    """The document of JSON values, as an API hands them over. Raises DocumentError."""
    problem = unfit(value)
    if problem:
        raise DocumentError([problem])
    return read_document(value, {})


def dump_document(document: FlowDocument) -> str:
    """The document as YAML in its one canonical form: `dump(parse(dump(d))) == dump(d)`, byte for byte."""
    value = document.model_dump(mode="python", by_alias=True, exclude_unset=True)
    return write_yaml(value)


def version_hash(document: FlowDocument) -> str:
    """SHA-256 of the document without its layout. The order of keys counts: it is the order of steps, fields and attempts."""
    value = document.as_json()
    value.pop("layout", None)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def document_schema(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The JSON Schema of the document, with the settings of these kinds under `with`."""
    models: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(FlowDocument, "validation")]
    models += [(kind.Settings, "validation") for kind in kinds.values()]
    references, schema = models_json_schema(models, by_alias=True, ref_template="#/$defs/{model}")
    definitions = schema["$defs"]
    top = definitions.pop("FlowDocument")
    step = definitions["Step"]
    step["properties"]["kind"] = {"enum": list(kinds), "title": "Kind"}
    step["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": slug}}, "required": ["kind"]},
            "then": {"properties": {"with": references[(kind.Settings, "validation")]}},
        }
        for slug, kind in kinds.items()
    ]
    for holder in (top, definitions.get("Body", {}), definitions.get("Handler", {})):
        if "steps" in holder.get("properties", {}):
            holder["properties"]["steps"]["propertyNames"] = {
                "pattern": KEY,
                "maxLength": MAX_KEY,
                "not": {"enum": sorted(RESERVED)},
            }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": definitions}


OF_ANOTHER: Final = "A flow begins with `orchestrator: 1`; other products' files cannot be read."


def read_document(value: Any, places: Mapping[Place, tuple[int, int]]) -> FlowDocument:
    """The document of a value that was parsed, with its places. Raises DocumentError."""
    if not isinstance(value, dict):
        raise DocumentError([problem_at((), "a flow is an object of keys and values", "Begin with `orchestrator: 1`.", places)])
    if "orchestrator" not in value:  # what else is wrong with it says nothing to whoever took another file for a flow
        raise DocumentError([problem_at(("orchestrator",), "`orchestrator` is missing", OF_ANOTHER, places)])
    try:
        document = FlowDocument.model_validate(value)
    except ValidationError as error:
        raise DocumentError(in_order(model_problems(error, FlowDocument, places))) from None
    document._places = places
    return document


def unfit(value: Any) -> Problem | None:
    """What makes a Python value no document: size, depth, types; found without recursion."""
    stack: list[tuple[Any, Place]] = [(value, ())]
    nodes = size = 0
    while stack:
        item, place = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            return Problem("", f"the document has more than {MAX_NODES:,} values", "Keep data out of the document.")
        if len(place) > MAX_DEPTH:
            return Problem(path_text(place[:6]), f"values are nested more than {MAX_DEPTH} deep", "Flatten them.")
        if isinstance(item, str):
            size += len(item)
            if "\0" in item:
                return Problem(path_text(place), "the text has a NUL character", "Remove it.")
        elif isinstance(item, dict):
            for key, each in item.items():
                if not isinstance(key, str):
                    return Problem(path_text(place), f"the key {shorten(repr(key), 40)} is not text", "Keys are text.")
                size += len(key)
                stack.append((each, (*place, key)))
        elif isinstance(item, (list, tuple)):
            stack.extend((each, (*place, index)) for index, each in enumerate(item))
        elif isinstance(item, bool) or item is None or isinstance(item, Decimal):
            pass
        elif isinstance(item, int):
            if abs(item) > MAX_INTEGER:
                return Problem(path_text(place), "the whole number needs more than 64 bits", "Write it as text.")
        elif not isinstance(item, float) or not math.isfinite(item):
            return Problem(path_text(place), f"{shorten(repr(item), 40)} is not a JSON value", "")
        if size > MAX_BYTES:
            return Problem("", "the document is larger than 1 MiB", "Keep data out of the document; give it as input.")
    return None
