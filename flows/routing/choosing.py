"""Which model of a route is asked for one request, and why: a pure function of the route, the request and what was measured.

A `Walk` is one course through a route. It first says of each candidate whether it may be asked at all, and puts those that may in
the order of the route's strategy; then it is told what became of each that was asked. At any moment `verdicts` is the whole account,
candidate by candidate, which is recorded with each call.

- ``ordered``: as they stand in the route.
- ``cheapest``: by what the request can cost at most; those without a price last.
- ``fastest``: by measured latency; those that were not measured yet first, so that they are.
- ``weighted``: by lot, in proportion to their weights; the lot is drawn from the attempt's identity, so it can be drawn again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from flows.access.installation import money
from flows.costs.prices import upper_bound
from flows.engine.failures import BadRequest, ContextTooLong, Failure, TooDear
from flows.routing.definitions import Candidate, ModelInfo, RouteInfo

LONGEST_WHY = 300  # characters of one reason


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request, as far as it matters for the choice. `lot` is the identity of the attempt."""

    input_tokens: int = 0
    max_output: int | None = None
    capabilities: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    lot: str = ""

    def bound(self, model: ModelInfo) -> Decimal | None:
        """Dollars that the request can cost at most with this model; None where its price is not known."""
        return upper_bound(model.price, self.input_tokens, self.max_output or model.max_output)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one candidate. `waiting`: not asked so far, it would be next or later."""

    model: str
    verdict: Literal["taken", "skipped", "failed", "waiting"]
    why: str = ""

    def stored(self) -> dict[str, str]:
        return {"model": self.model, "verdict": self.verdict, "why": self.why[:LONGEST_WHY]}


@dataclass(slots=True)
class Walk:
    """One course through a route. `latencies` are seconds by model, where they were measured."""

    route: RouteInfo
    wanted: Wanted
    models: Mapping[str, ModelInfo]
    latencies: Mapping[str, float] = field(default_factory=dict)
    order: list[ModelInfo] = field(default_factory=list)
    spared: bool = False  # whether only cheaper candidates are asked, since a limit has no room for the first
    _said: dict[str, Verdict] = field(default_factory=dict)
    _refusals: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        fitting = []
        for candidate in self.route.candidates:
            refusal = self._refusal(candidate)
            if refusal is None:
                fitting.append(candidate)
            else:
                self.skip(self.models[candidate.model], refusal)
        self.order = [self.models[candidate.model] for candidate in self._sorted(fitting)]

    # ------------------------------------------------------------------ who may be asked, and in which order

    def _refusal(self, candidate: Candidate) -> Failure | None:
        """Why this candidate cannot take the request; None where it can."""
        model, when, wanted = self.models[candidate.model], candidate.when, self.wanted
        lacking = sorted((wanted.capabilities | self.route.needs) - model.capabilities)
        if lacking:
            return BadRequest(f"it lacks {', '.join(lacking)}")
        if when.tag is not None and when.tag not in wanted.tags:
            return BadRequest(f"the run has no tag {when.tag}")
        if when.min_input is not None and wanted.input_tokens < when.min_input:
            return BadRequest(f"the input of about {wanted.input_tokens:,} tokens is below {when.min_input:,}")
        if when.max_input is not None and wanted.input_tokens > when.max_input:
            return ContextTooLong(f"the input of about {wanted.input_tokens:,} tokens is above {when.max_input:,}")
        if wanted.input_tokens > model.context and self._somebody_holds_it():
            return ContextTooLong(f"the input of about {wanted.input_tokens:,} tokens is above its context of {model.context:,}")
        bound = wanted.bound(model)
        if when.max_cost is not None and (bound is None or bound > when.max_cost):
            what = "its price is not known" if bound is None else f"the call can cost {money(f'{bound:f}')}"
            return BadRequest(f"{what}, and it may cost {money(f'{when.max_cost:f}')}")
        return None

    def _somebody_holds_it(self) -> bool:
        """Our count is an upper estimate: it prefers, and refuses nobody where it would refuse all."""
        return any(self.models[each.model].context >= self.wanted.input_tokens for each in self.route.candidates)

    def _sorted(self, fitting: Sequence[Candidate]) -> list[Candidate]:
        """Sorting is stable: equals stay as they stand in the route."""
        if self.route.strategy == "ordered":
            return list(fitting)
        keys: dict[str, Callable[[Candidate], float]] = {
            "cheapest": lambda each: _price_of(self.wanted.bound(self.models[each.model])),
            "fastest": lambda each: self.latencies.get(each.model, -1.0),
            "weighted": lambda each: _lot(f"{self.wanted.lot}/{each.model}", each.weight),
        }
        return sorted(fitting, key=keys[self.route.strategy])

    def spare(self, refusal: TooDear) -> None:
        """From here on only candidates that cost less than the first for this request at most, the cheapest in front. Raises `TooDear`
        where there is none."""
        bounds = {model.slug: self.wanted.bound(model) for model in self.order}
        first = bounds[self.order[0].slug] if self.order else None
        less = [model for model in self.order if (bound := bounds[model.slug]) is not None and (first is None or bound < first)]
        if not less:
            message = f"{refusal.message} No candidate of {self.route.slug} is cheaper than its first."
            raise TooDear(message, limit=refusal.limit)
        for model in self.order:
            if model not in less:
                self.skip(model, TooDear("a limit has no room for it"))
        self.order = sorted(less, key=lambda model: _price_of(bounds[model.slug]))
        self.spared = True

    # ------------------------------------------------------------------ what became of them

    def skip(self, model: ModelInfo, refusal: Failure) -> None:
        """It is not asked."""
        self._refusals.append(refusal)
        self._said[model.slug] = Verdict(model.slug, "skipped", refusal.message)

    def fail(self, model: ModelInfo, failure: Failure) -> None:
        """It was asked and failed."""
        self._said[model.slug] = Verdict(model.slug, "failed", f"{failure.slug}: {failure.message}")

    def goes_on_after(self, failure: Failure) -> bool:
        """Whether the next candidate is asked after this failure."""
        return failure.slug in self.route.fall_back_on

    def nobody(self) -> Failure:
        """The failure of a request that none of the candidates may be asked for."""
        said = "; ".join(f"{slug}: {verdict.why}" for slug, verdict in self._said.items() if verdict.verdict == "skipped")
        kind = type(self._refusals[-1]) if self._refusals else BadRequest
        waits = [each.retry_after for each in self._refusals if each.retry_after is not None]
        return kind(
            f"No candidate of the route {self.route.slug} takes this request: {said}.", retry_after=min(waits, default=None)
        )

    # ------------------------------------------------------------------ the account

    def verdicts(self, taken: ModelInfo) -> list[Verdict]:
        """What is decided about each candidate now that `taken` is asked, in the order of the walk; those that were left out first."""
        walked = [model.slug for model in self.order]
        left_out = [slug for slug in self.route.models if slug not in walked]
        return [
            Verdict(slug, "taken", self.why(taken)) if slug == taken.slug else self._said.get(slug, Verdict(slug, "waiting"))
            for slug in [*left_out, *walked]
        ]

    def why(self, taken: ModelInfo) -> str:
        """Why this one, in words."""
        route, failed = self.route.slug, [each for each in self._said.values() if each.verdict == "failed"]
        if self.spared:
            return f"cheaper candidate of {route}: a limit has no room for the first" + (", after one failed" if failed else "")
        skipped = [each for each in self._said.values() if each.verdict == "skipped"]
        passed_over = f"; skipped: {', '.join(f'{each.model} ({each.why})' for each in skipped)}" if skipped else ""
        if len(self.route.candidates) == 1:
            return f"the only candidate of {route}"
        if failed:
            return f"{self._place(taken)}, after the one before it failed{passed_over}"
        found = {
            "ordered": self._place(taken),
            "cheapest": f"the cheapest candidate of {route} for this request",
            "fastest": f"the fastest candidate of {route}, {self._measured(taken)}",
            "weighted": f"drawn by weight from {route}",
        }
        return found[self.route.strategy] + passed_over

    def _place(self, model: ModelInfo) -> str:
        ordered = self.route.models if self.route.strategy == "ordered" else [each.slug for each in self.order]
        position = list(ordered).index(model.slug)
        return f"candidate {position + 1} of {self.route.slug}" if position else f"first candidate of {self.route.slug}"

    def _measured(self, model: ModelInfo) -> str:
        seconds = self.latencies.get(model.slug)
        return "not measured yet" if seconds is None else f"{seconds:.2g} s"

    def stored(self, taken: ModelInfo) -> dict[str, Any]:
        """The account as it is recorded with the call."""
        return {
            "route": self.route.slug,
            "version": self.route.version,
            "strategy": self.route.strategy,
            "candidates": [verdict.stored() for verdict in self.verdicts(taken)],
        }


def _price_of(bound: Decimal | None) -> float:
    return math.inf if bound is None else float(bound)


def _lot(seed: str, weight: float) -> float:
    """A key by which sorting draws without replacement, each in proportion to its weight (Efraimidis and Spirakis, 2006)."""
    drawn = (int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8]) + 1) / (2**64 + 1)
    return -math.log(drawn) / weight if weight > 0 else math.inf
