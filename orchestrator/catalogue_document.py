"""The catalogue as a document (YAML or JSON): models, routes, tools, teams, allowed hosts. See
`orchestrator/demo_catalogue.yaml`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from flows.access.addresses import allowed_name
from flows.engine.document import JSONObject, Money, Part
from flows.engine.durations import parse_duration
from flows.engine.explaining import model_problems
from flows.engine.failures import RETRYABLE_SLUGS
from flows.engine.problems import DocumentError, Place, Problem, did_you_mean, listed, path_text
from flows.engine.schemas import schema_problems
from flows.engine.yamltext import parse_yaml
from flows.routing.definitions import Strategy
from flows.routing.providers.faultscript import ScriptError, parse_script
from flows.tools.base import Effect, Repeat, ToolKind

SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _seconds(value: Any) -> Any:
    """`20s`, `2m`, or a number of seconds."""
    return (
        parse_duration(value)
        if isinstance(value, str)
        else float(value)
        if isinstance(value, int) and not isinstance(value, bool)
        else value
    )


def _host(value: str) -> str:
    name, colon, port = value.strip().rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not name or "/" in name or "@" in name:
        raise ValueError("must be host:port, such as 127.0.0.1:9000 or mail.internal:443")
    bare = name.strip("[]")
    if ":" in bare:
        ipaddress.IPv6Address(bare)
    return allowed_name(bare, int(port))


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=86400)]
Host = Annotated[str, AfterValidator(_host)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]


ErrorClass = Literal[RETRYABLE_SLUGS]  # type: ignore[valid-type]


class PricePart(Part):
    """Dollars per million tokens. What is left out is unknown, which is not zero."""

    input: Money | None = None
    cached_input: Money | None = None
    cache_write: Money | None = None
    output: Money | None = None
    reasoning: Money | None = None


class LimitsPart(Part):
    """What a model takes, of all workers together: calls at a time, requests and tokens that begin within a minute."""

    in_flight: int | None = Field(default=None, gt=0, strict=True)
    requests: int | None = Field(default=None, gt=0, strict=True)
    tokens: int | None = Field(default=None, gt=0, strict=True)


class BreakerPart(Part):
    """When a model is left alone: after so many failures in a row, each within so long of the one before, and for how long."""

    failures: int | None = Field(default=None, gt=0, le=1000, strict=True)
    within: Duration | None = None
    rest: Duration | None = None


class ModelPart(Part):
    model: str = Field(min_length=1, max_length=160)
    api_base: str = ""
    api_key_env: str = Field(default="", max_length=80)
    context: int = Field(default=8192, gt=0)
    max_output: int = Field(default=1024, gt=0)
    capabilities: Texts = ()
    settings: JSONObject = Field(default_factory=dict)
    limits: LimitsPart = LimitsPart()
    breaker: BreakerPart = BreakerPart()
    price: PricePart | None = None
    unpriced: Literal["refuse", "allow"] = "refuse"


class WhenPart(Part):
    """What must hold of a request before this candidate is asked: tokens of input, dollars a call at most, a tag of the run."""

    min_input: int | None = Field(default=None, ge=0, strict=True)
    max_input: int | None = Field(default=None, gt=0, strict=True)
    max_cost: Money | None = None
    tag: str | None = Field(default=None, min_length=1, max_length=100)


class CandidatePart(Part):
    """One model of a route, with a condition, and its weight where the route draws lots."""

    model: str
    when: WhenPart = WhenPart()
    weight: float = Field(default=1.0, ge=0, le=1_000_000)

    def stored(self) -> str | dict[str, Any]:
        """As it stands in the route's row: a plain name where nothing more is said."""
        when = {name: _plain(value) for name, value in self.when.model_dump(mode="json", exclude_none=True).items()}
        more: dict[str, Any] = {} if self.weight == 1 else {"weight": self.weight}
        if when:
            more["when"] = when
        return {"model": self.model, **more} if more else self.model


def _named(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


AnyCandidate = Annotated[CandidatePart, BeforeValidator(_named)]


class RoutePart(Part):
    """Candidates, how one is chosen, and the errors after which the next is tried. Each candidate has the capabilities of `needs`."""

    candidates: Annotated[tuple[AnyCandidate, ...], Field(strict=False, min_length=1, max_length=50)]
    strategy: Strategy = "ordered"
    needs: Texts = ()
    fall_back_on: Annotated[tuple[ErrorClass, ...], Field(strict=False)] = ("rate_limit", "timeout", "unavailable")
    timeout: Duration | None = None


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


class TeamPart(Part):
    name: str = ""
    members: Texts = ()


class BudgetPart(Part):
    """What a scope may use in a period: `all`, or such as `flow:refunds`, `team:finance`, `tag:urgent`."""

    scope: str
    period: Literal["hour", "day", "week", "month"]
    cost: Money
    at_limit: Literal["stop", "pause", "cheaper", "finish", "notify"] = "stop"
    warn: Annotated[tuple[int, ...], Field(strict=False)] = ()


class CatalogueDocument(Part):
    models: dict[str, ModelPart] = Field(default_factory=dict)
    routes: dict[str, RoutePart] = Field(default_factory=dict)
    tools: dict[str, ToolPart] = Field(default_factory=dict)
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
    return {name: _plain(value) for name, value in (part.model_extra or {}).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (float, dict, list, tuple)):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value]


def _further(document: CatalogueDocument, kinds: Mapping[str, ToolKind]) -> Iterator[tuple[Place, str, str]]:
    """What types cannot say: where it stands, what is wrong, how to mend it."""
    for section in ("models", "routes", "tools", "teams"):
        for slug in getattr(document, section):
            if not SLUG.fullmatch(slug):
                yield (section, slug), f"`{slug[:40]}` is no name", "Use small letters, digits, dots, hyphens and underscores."
    for slug, model in document.models.items():
        yield from _model_faults(slug, model)
    for slug, route in document.routes.items():
        if slug in document.models:
            yield ("routes", slug), f"`{slug}` is the name of a model too", "Give the route another name."
        yield from _route_faults(slug, route)
    for slug, tool in document.tools.items():
        yield from _tool_faults(slug, tool, kinds)


def _model_faults(slug: str, model: ModelPart) -> Iterator[tuple[Place, str, str]]:
    place = ("models", slug)
    if "/" not in model.model:
        yield (*place, "model"), f"`{model.model}` names no provider", "Write provider/name, such as openai/small-1 or sim/small."
    if model.api_key_env and not VARIABLE.fullmatch(model.api_key_env):
        yield (
            (*place, "api_key_env"),
            "this is no name of an environment variable",
            "Name the variable that holds the key; the key itself never stands here.",
        )
    if model.api_base and not model.api_base.startswith(("http://", "https://")):
        yield (*place, "api_base"), f"`{model.api_base[:60]}` is no http or https address", ""
    script = model.settings.get("script")
    if model.model.startswith("sim/") and script is not None:
        try:
            parse_script(str(script))
        except ScriptError as error:
            yield (*place, "settings", "script"), str(error), ""
    if model.price is not None and (model.price.input is None) != (model.price.output is None):
        yield (*place, "price"), "a price needs `input` and `output`, or neither", ""


def _route_faults(slug: str, route: RoutePart) -> Iterator[tuple[Place, str, str]]:
    place = ("routes", slug, "candidates")
    seen: set[str] = set()
    for number, each in enumerate(route.candidates):
        if each.model in seen:
            yield (*place, number), f"`{each.model}` stands here twice", "Remove one of them."
        seen.add(each.model)
        if None not in (each.when.min_input, each.when.max_input) and each.when.min_input > each.when.max_input:  # type: ignore[operator]
            yield (*place, number, "when"), "`min_input` is more than `max_input`", "Exchange them."
    if route.strategy == "weighted" and not any(each.weight for each in route.candidates):
        yield place, "every weight is 0, so none could be drawn", "Give at least one candidate a weight above 0."


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
        for inner, message in schema_problems(dict(schema)) if schema else ():
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


def reference_faults(slug: str, route: RoutePart, models: Mapping[str, Collection[str]]) -> list[Problem]:
    """Candidates that there are not, or that lack what the route needs. `models` are the capabilities by model."""
    problems = []
    for number, each in enumerate(route.candidates):
        place = path_text(("routes", slug, "candidates", number))
        if each.model not in models:
            problems.append(
                Problem(place, f"there is no model `{each.model}`", did_you_mean(each.model, models) or listed(models))
            )
        elif lacking := sorted(set(route.needs) - set(models[each.model])):
            mend = f"Take {each.model} out, or take {', '.join(lacking)} out of `needs`."
            problems.append(Problem(place, f"`{each.model}` lacks {', '.join(lacking)}, which the route needs", mend))
    return problems
