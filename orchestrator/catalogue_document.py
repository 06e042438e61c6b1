"""The catalogue as a document (YAML or JSON): models, routes, tools, teams, allowed hosts. See
`orchestrator/demo_catalogue.yaml`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from flows.access.addresses import allowed_name
from flows.engine.contradictions import unusable
from flows.engine.document import JSONObject, Money, Part
from flows.engine.explaining import model_problems
from flows.engine.problems import DocumentError, Place, Problem, did_you_mean, path_text
from flows.engine.yamltext import parse_yaml
from flows.routing.entries import SLUG, Duration, ModelPart, RoutePart, Texts, model_faults, plain, route_faults
from flows.tools.base import Effect, Repeat, ToolKind


def _host(value: str) -> str:
    name, colon, port = value.strip().rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not name or "/" in name or "@" in name:
        raise ValueError("must be host:port, such as 127.0.0.1:9000 or mail.internal:443")
    bare = name.strip("[]")
    if ":" in bare:
        ipaddress.IPv6Address(bare)
    return allowed_name(bare, int(port))


Host = Annotated[str, AfterValidator(_host)]


class ToolPart(Part):
    """What stands beside these keys belongs to the tool's kind. `known_for` is how long the service knows a key; `result` the JSON
    Schema of what a call gives; `description` what it is for, which models read, too; `trusted` whether its answers are nobody else's
    words, so that a run that has read them is not tainted.
    """

    model_config = {**Part.model_config, "extra": "allow"}

    kind: str
    effect: Effect
    repeat: Repeat | None = None
    arguments: JSONObject = Field(default_factory=dict)
    timeout: Duration | None = None
    reversible: bool = False
    max_in_flight: int | None = Field(default=None, gt=0, strict=True)
    known_for: Duration | None = None
    result: JSONObject = Field(default_factory=dict)
    description: str = Field(default="", max_length=1000)
    trusted: bool | None = None

    @property
    def repeats(self) -> str:
        """A read may be repeated freely, a write never, where nothing else is said."""
        return self.repeat or ("freely" if self.effect == "read" else "never")


class MCPPart(Part):
    """An MCP server: `command` starts it, or `url` is its address. Values of `env` and `header_env` are names of environment
    variables of this installation."""

    command: Texts = ()
    env: dict[str, str] = Field(default_factory=dict)
    url: str = ""
    header_env: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> MCPPart:
        if bool(self.command) == bool(self.url):
            raise PydanticCustomError("one_way", "give either `command` or `url`")
        return self


class TeamPart(Part):
    name: str = ""
    members: Texts = ()


class BudgetPart(Part):
    """What a scope may use in a period, or each run of it: `all`, `run`, `step`, or such as `flow:refunds`, `step:refunds/classify`."""

    scope: str
    period: Literal["hour", "day", "week", "month", "run"]
    cost: Money | None = None
    tokens: int | None = None
    calls: int | None = None
    steps: int | None = None
    duration: Duration | None = None
    at_limit: Literal["stop", "pause", "cheaper", "finish", "notify"] = "stop"
    warn: Annotated[tuple[int, ...], Field(strict=False)] = ()


class CatalogueDocument(Part):
    models: dict[str, ModelPart] = Field(default_factory=dict)
    routes: dict[str, RoutePart] = Field(default_factory=dict)
    tools: dict[str, ToolPart] = Field(default_factory=dict)
    mcp: dict[str, MCPPart] = Field(default_factory=dict)
    teams: dict[str, TeamPart] = Field(default_factory=dict)
    allowed_hosts: Annotated[tuple[Host, ...], Field(strict=False)] = ()
    budgets: Annotated[tuple[BudgetPart, ...], Field(strict=False)] = ()


def parse_catalogue(source: str | bytes, kinds: Mapping[str, ToolKind]) -> CatalogueDocument:
    """The document of this text. `kinds` are the tool kinds by slug. Raises `DocumentError` with every problem and its place."""
    parsed = parse_yaml(source)
    value = {} if parsed.value is None else parsed.value
    if not isinstance(value, dict):
        raise DocumentError([Problem("", "A catalogue is an object of models, routes, tools, teams, allowed_hosts and budgets")])
    try:
        document = CatalogueDocument.model_validate(value)
    except ValidationError as error:
        raise DocumentError(model_problems(error, CatalogueDocument, parsed.places)) from None
    problems = [
        Problem(path_text(place), message, mend, *(parsed.places.get(place) or (None, None)))
        for place, message, mend in _further(document, kinds)
    ]
    if problems:
        raise DocumentError(problems)
    return document


def tool_settings(part: ToolPart) -> dict[str, Any]:
    """The keys of a tool that belong to its kind, as plain JSON values."""
    return {name: plain(value) for name, value in (part.model_extra or {}).items()}


def _further(document: CatalogueDocument, kinds: Mapping[str, ToolKind]) -> Iterator[tuple[Place, str, str]]:
    """What types cannot say: where it stands, what is wrong, how to mend it."""
    for section in ("models", "routes", "tools", "teams"):
        for slug in getattr(document, section):
            if not SLUG.fullmatch(slug):
                yield (section, slug), f"`{slug[:40]}` is no name", "Use small letters, digits, dots, hyphens and underscores."
    for slug, model in document.models.items():
        yield from model_faults(slug, model)
    for slug, route in document.routes.items():
        if slug in document.models:
            yield ("routes", slug), f"`{slug}` is the name of a model too", "Give the route another name."
        yield from route_faults(slug, route)
    for slug, tool in document.tools.items():
        yield from _tool_faults(slug, tool, kinds)


def _tool_faults(slug: str, tool: ToolPart, kinds: Mapping[str, ToolKind]) -> Iterator[tuple[Place, str, str]]:
    place = ("tools", slug)
    kind = kinds.get(tool.kind)
    if kind is None:
        yield (*place, "kind"), f"there is no tool kind `{tool.kind[:40]}`", did_you_mean(tool.kind, kinds)
        return
    try:
        kind.Settings.model_validate(tool_settings(tool))
    except ValidationError as error:
        for problem in model_problems(error, kind.Settings, {}):
            yield (*place, *_place(problem.path)), problem.message, problem.mend
    for name, schema in (("arguments", tool.arguments), ("result", tool.result)):
        for inner, message in unusable(dict(schema)) if schema else ():
            yield (*place, name, *inner), message, ""
    if tool.known_for is not None and tool.repeats != "keyed":
        yield (
            (*place, "known_for"),
            "only a tool with `repeat: keyed` is repeated by its key",
            "Remove it, or write `repeat: keyed`.",
        )
    extra = tool.model_extra or {}
    if tool.repeats == "keyed" and tool.kind == "http" and not extra.get("idempotency_header"):
        yield (*place, "repeat"), "`keyed` needs the header that carries the key", "Add `idempotency_header: Idempotency-Key`."
    if tool.repeats == "lookup" and tool.kind == "http" and not extra.get("find"):
        yield (
            (*place, "repeat"),
            "`lookup` needs an address that tells what became of a call",
            "Add `find` with {key} in its path.",
        )


def _place(path: str) -> Place:
    return tuple(part for part in path.split(".") if part)
