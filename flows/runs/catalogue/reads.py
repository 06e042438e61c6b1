"""Models and routes as their pages show them: how each does, and which flows use it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import environ
from typing import Any, Final

from flows.access.actor import Actor
from flows.access.installation import money
from flows.access.querysets import flows_for
from flows.access.refusals import NotFound
from flows.models import RouteVersion, Secret
from flows.routing.breaker import WELL, Standing
from flows.routing.definitions import Candidate, ModelInfo, RouteInfo
from flows.routing.figures import Figures, Hour, Share, figures_by_model, last_day, shares_of, standings
from flows.routing.table import RoutingTable, current_table
from flows.runs.documents import documents_of

ILL_FROM: Final = 0.05  # share of failed calls
ENOUGH: Final = 5  # calls that say something
GLYPHS: Final = {"healthy": "succeeded", "degraded": "retrying", "down": "failed", "simulated": "screen", "no key": "key"}


@dataclass(frozen=True, slots=True)
class Use:
    """A flow that asks a route or model, in the version that runs."""

    slug: str
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ModelView:
    model: ModelInfo
    figures: Figures
    standing: Standing
    uses: tuple[Use, ...]
    routes: tuple[str, ...]
    has_key: bool  # or needs none
    day: tuple[Hour, ...] = ()  # the last 24 hours, the newest last

    @property
    def ticks(self) -> list[dict[str, Any]]:
        """The hours with their places in the drawing."""
        return [{"state": each.state, "x": at * 7, "y": 0, "height": 12} for at, each in enumerate(self.day)]

    @property
    def day_in_words(self) -> str:
        """What the strip shows."""
        calls, failed = sum(each.calls for each in self.day), sum(each.failed for each in self.day)
        if not failed:
            return f"24 hours: {calls} calls, none failed"
        hours = sum(bool(each.failed) for each in self.day)
        return f"24 hours: {calls} calls, {failed} failed, in {hours} of the hours"

    @property
    def provider(self) -> str:
        return self.model.model.partition("/")[0]

    @property
    def capabilities(self) -> list[str]:
        return sorted(self.model.capabilities)

    @property
    def status(self) -> str:
        """In a word: no key, down, degraded, simulated or healthy."""
        if not self.has_key:
            return "no key"
        if self.standing.until:
            return "down"
        rate = self.figures.error_rate
        if self.standing.failures or (rate is not None and self.figures.calls >= ENOUGH and rate >= ILL_FROM):
            return "degraded"
        return "simulated" if self.model.simulated else "healthy"

    @property
    def glyph(self) -> str:
        return GLYPHS[self.status]

    @property
    def why(self) -> str:
        """What the word means here."""
        if self.status == "no key":
            name, instead = self.model.api_key_secret, "or let the routes ask a simulated model."
            if name:
                return f"Write the secret {name} and grant it to this model, {instead}"
            return f"Set {self.model.api_key_env} where the workers start, {instead}"
        if self.status == "down":
            left = self.standing.until / 1000 - time.time()
            again = f"tried again in {left:.0f} s" if left > 0 else "one call may try it now"
            return f"{self.standing.failures} failures in a row, the last {self.standing.why}; {again}"
        if self.standing.failures:
            return f"failed {self.standing.failures} times in a row, the last {self.standing.why}"
        return ""


@dataclass(frozen=True, slots=True)
class RouteView:
    route: RouteInfo
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    models: list[ModelView]
    routes: list[RouteView]
    known: bool  # whether it is known how the models stand


def overview(actor: Actor) -> Overview:
    """All models and routes; of the flows that use them those that the actor may see. The number of queries does not grow."""
    table = current_table()
    figures, stand = figures_by_model(), standings(table.models)
    uses = uses_by_name(actor)
    days = last_day()
    granted = dict(Secret.objects.values_list("name", "models"))
    models = [
        ModelView(
            model,
            figures.get(slug, Figures()),
            (stand or {}).get(slug, WELL),
            _uses_of_model(slug, table, uses),
            tuple(name for name, route in table.routes.items() if slug in route.models),
            _has_key(model, granted),
            days.get(slug, ()),
        )
        for slug, model in table.models.items()
    ]
    routes = [RouteView(route, uses.get(slug, ())) for slug, route in table.routes.items()]
    return Overview(models, routes, stand is not None)


def _has_key(model: ModelInfo, granted: Mapping[str, list[str]]) -> bool:
    if model.api_key_secret:
        return model.slug in granted.get(model.api_key_secret, ())
    return not model.api_key_env or bool(environ.get(model.api_key_env, "").strip())


def _uses_of_model(slug: str, table: RoutingTable, uses: Mapping[str, tuple[Use, ...]]) -> tuple[Use, ...]:
    """The flows that ask it by its own name or by a route."""
    names = [slug, *(name for name, route in table.routes.items() if slug in route.models)]
    return tuple(sorted({use for name in names for use in uses.get(name, ())}, key=lambda use: use.name))


def uses_by_name(actor: Actor) -> dict[str, tuple[Use, ...]]:
    """By route or model the flows whose published version asks it, of those that the actor may see."""
    flows = flows_for(actor).filter(published__isnull=False, archived_at__isnull=True)
    rows = list(flows.order_by("name").values_list("slug", "name", "published_id", "published__number"))
    documents = documents_of(version for _, _, version, _ in rows)
    found: dict[str, list[Use]] = {}
    for slug, name, version, number in rows:
        for route in dict.fromkeys(asked_in(documents[version].as_json())):
            found.setdefault(route, []).append(Use(slug, name, number or 0))  # what is published has a number
    return {route: tuple(each) for route, each in found.items()}


def asked_in(document: Any) -> Iterator[str]:
    """The routes that the steps of a document ask, those of bodies, of judges and of the error handler included."""
    if isinstance(document, list):
        for each in document:
            yield from asked_in(each)
        return
    if not isinstance(document, dict):
        return
    for step in (document.get("steps") or {}).values():
        settings = step.get("with") or {}
        asked = [settings, *(settings.get("rules") or ())]
        yield from (each["route"] for each in asked if isinstance(each, dict) and isinstance(each.get("route"), str))
        yield from asked_in(settings.get("body"))
    yield from asked_in(document.get("on_error"))


@dataclass(frozen=True, slots=True)
class CandidateView:
    candidate: Candidate
    model: ModelInfo | None
    share: Share | None

    @property
    def conditions(self) -> list[str]:
        """When it is asked, in words."""
        when, said = self.candidate.when, []
        if when.tag:
            said.append(f"runs with the tag {when.tag}")
        if when.min_input is not None:
            said.append(f"from {when.min_input:,} tokens of input")
        if when.max_input is not None:
            said.append(f"up to {when.max_input:,} tokens of input")
        if when.max_cost is not None:
            said.append(f"at most {money(f'{when.max_cost:f}')} a call")
        return said


@dataclass(frozen=True, slots=True)
class RoutePage:
    route: RouteInfo
    candidates: list[CandidateView]
    uses: tuple[Use, ...]
    versions: list[RouteVersion]

    @property
    def goes_on(self) -> str:
        """After what the next candidate is asked, in words."""
        causes = [cause.replace("_", " ") for cause in sorted(self.route.fall_back_on)]
        if self.route.timeout is not None:
            causes = [f"more than {self.route.timeout:g} s" if cause == "timeout" else cause for cause in causes]
        return ", ".join(causes)


def route_page(actor: Actor, slug: str) -> RoutePage:
    """One route. Raises `NotFound`."""
    table = current_table()
    route = table.routes.get(slug)
    if route is None:
        raise NotFound("route")
    shares = shares_of(slug, route.models)
    candidates = [CandidateView(each, table.models.get(each.model), shares.get(each.model)) for each in route.candidates]
    versions = list(RouteVersion.objects.filter(route_id=slug).order_by("-number")[:20])
    return RoutePage(route, candidates, uses_by_name(actor).get(slug, ()), versions)
