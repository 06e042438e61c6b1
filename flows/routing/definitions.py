"""What the catalogue says of models and routes, as immutable values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from flows.costs.prices import PriceRow
from flows.routing.breaker import USUAL, Breaker

Strategy = Literal["ordered", "cheapest", "fastest", "weighted"]
STRATEGIES: Final[tuple[Strategy, ...]] = get_args(Strategy)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model of the catalogue with the price that is valid now."""

    slug: str
    model: str  # LiteLLM's provider/name
    api_base: str = ""
    api_key_env: str = ""  # the environment variable that holds the key, or …
    api_key_secret: str = ""  # … the secret that is it
    context: int = 8192  # tokens that one request may hold
    max_output: int = 1024  # tokens, where a step does not say
    capabilities: frozenset[str] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    simulated: bool = False
    price: PriceRow | None = None
    breaker: Breaker = USUAL
    unpriced: str = "refuse"  # where a limit in dollars applies and there is no price: refuse | allow


@dataclass(frozen=True, slots=True)
class When:
    """What must hold of a request before a candidate is asked. Tokens are our upper estimate, `max_cost` dollars at most a call."""

    min_input: int | None = None
    max_input: int | None = None
    max_cost: Decimal | None = None
    tag: str | None = None  # of the run

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> When:
        cost = values.get("max_cost")
        return cls(
            values.get("min_input"), values.get("max_input"), None if cost is None else Decimal(str(cost)), values.get("tag")
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model of a route. `weight` is its share among the others where the route draws lots."""

    model: str
    when: When = When()
    weight: float = 1.0

    @classmethod
    def of(cls, value: str | Mapping[str, Any]) -> Candidate:
        """A candidate as it is stored: a model's slug, or an object with more."""
        if isinstance(value, str):
            return cls(value)
        return cls(value["model"], When.of(value.get("when") or {}), float(value.get("weight", 1)))


def slugs_of(stored: Iterable[str | Mapping[str, Any]]) -> tuple[str, ...]:
    """The models of stored candidates, in order."""
    return tuple(each if isinstance(each, str) else each["model"] for each in stored)


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """One route: its candidates, how one is chosen, the error classes after which the next is tried, the seconds that one call may
    take, and the capabilities that each candidate must have. A model's own name is a route of version 0 to that model alone."""

    slug: str
    candidates: tuple[Candidate, ...]
    fall_back_on: frozenset[str] = frozenset()
    timeout: float | None = None
    strategy: Strategy = "ordered"
    needs: frozenset[str] = frozenset()
    version: int = 0

    @property
    def models(self) -> Sequence[str]:
        return [candidate.model for candidate in self.candidates]
