"""Models and routes as people write them, in the catalogue's document, on pages and over HTTP: what each may say, and what is wrong
with it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from flows.engine.document import JSONObject, Money, Part
from flows.engine.durations import parse_duration
from flows.engine.failures import RETRYABLE_SLUGS
from flows.engine.problems import Place, Problem, did_you_mean, listed, path_text
from flows.routing.definitions import Strategy
from flows.routing.providers.faultscript import ScriptError, parse_script

SLUG: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET: Final = re.compile(r"[A-Z][A-Z0-9_]{0,79}")


def seconds(value: Any) -> Any:
    """`20s`, `2m`, or a number of seconds."""
    return (
        parse_duration(value)
        if isinstance(value, str)
        else float(value)
        if isinstance(value, int) and not isinstance(value, bool)
        else value
    )


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=86400)]
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
    api_key_secret: str = Field(default="", max_length=80)
    context: int = Field(default=8192, gt=0)
    max_output: int = Field(default=1024, gt=0)
    capabilities: Texts = ()
    settings: JSONObject = Field(default_factory=dict)
    limits: LimitsPart = LimitsPart()
    breaker: BreakerPart = BreakerPart()
    price: PricePart | None = None
    unpriced: Literal["refuse", "allow"] = "refuse"

    def stored(self) -> dict[str, Any]:
        """As it stands in the model's row."""
        return {
            "model": self.model,
            "api_base": self.api_base,
            "api_key_env": self.api_key_env,
            "api_key_secret": self.api_key_secret,
            "context": self.context,
            "max_output": self.max_output,
            "capabilities": sorted(set(self.capabilities)),
            "settings": dict(self.settings),
            "limits": self.limits.model_dump(exclude_none=True),
            "breaker": self.breaker.model_dump(exclude_none=True),
            "simulated": self.model.startswith("sim/"),
            "unpriced": self.unpriced,
        }


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
        when = {name: plain(value) for name, value in self.when.model_dump(mode="json", exclude_none=True).items()}
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

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> RoutePart:
        """A route as it is stored, as it would be written."""
        lists = {name: tuple(definition[name]) for name in ("candidates", "needs", "fall_back_on")}
        return cls.model_validate({**definition, **lists})

    def stored(self) -> dict[str, Any]:
        """As it stands in the route's row, and in its versions."""
        return {
            "candidates": [each.stored() for each in self.candidates],
            "fall_back_on": list(self.fall_back_on),
            "timeout": self.timeout,
            "strategy": self.strategy,
            "needs": sorted(set(self.needs)),
        }


def model_faults(slug: str, model: ModelPart) -> Iterator[tuple[Place, str, str]]:
    place = ("models", slug)
    if "/" not in model.model:
        yield (*place, "model"), f"`{model.model}` names no provider", "Write provider/name, such as openai/small-1 or sim/small."
    if model.api_key_env and not VARIABLE.fullmatch(model.api_key_env):
        yield (
            (*place, "api_key_env"),
            "this is no name of an environment variable",
            "Name the variable that holds the key; the key itself never stands here.",
        )
    if model.api_key_secret and not SECRET.fullmatch(model.api_key_secret):
        yield (
            (*place, "api_key_secret"),
            "this is no name of a secret",
            "Name one of the page of secrets, such as SMALL_KEY; the key itself never stands here.",
        )
    if model.api_key_env and model.api_key_secret:
        yield (*place, "api_key_secret"), "the key stands in a variable already", "Name a variable or a secret, not both."
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


def route_faults(slug: str, route: RoutePart) -> Iterator[tuple[Place, str, str]]:
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


def plain(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (float, dict, list, tuple)):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value]
