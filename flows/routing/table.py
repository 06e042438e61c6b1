"""The models, routes, prices and allowed hosts as one immutable value, loaded from the catalogue's tables.

An engine process loads it when it starts and again when the catalogue changes; nothing on the hot path reads those tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from flows.costs.prices import PriceRow
from flows.engine.calllimits import CallLimits
from flows.engine.failures import Failure
from flows.routing.breaker import breaker_of
from flows.routing.definitions import Candidate, ModelInfo, RouteInfo


class Unknown(Failure):
    """The catalogue has no route or model of this name."""

    slug = "bad_request"


@dataclass(frozen=True, slots=True)
class RoutingTable:
    models: Mapping[str, ModelInfo] = field(default_factory=dict)
    routes: Mapping[str, RouteInfo] = field(default_factory=dict)
    allowed_hosts: frozenset[str] = frozenset()
    limits: Mapping[str, CallLimits] = field(default_factory=dict)  # by model; those without limits are left out
    latencies: Mapping[str, float] = field(default_factory=dict)  # measured seconds of a call, by model; only where a route asks

    def candidates(self, name: str) -> tuple[ModelInfo, ...]:
        """The models behind a route, in order, or the one model of this slug. Raises `Unknown` naming what is missing."""
        route = self.routes.get(name)
        if route is None:
            return (self.model(name),)
        found = tuple(self.model(slug) for slug in route.models)
        if not found:
            raise Unknown(f"The route {name!r} has no candidates; add models to it in the catalogue.")
        return found

    def simulated(self) -> RoutingTable:
        """The same routes, with a simulated model in the place of each real one: the first that can do the same, one that fails on
        purpose last. Where there is none that is simulated, a real one is no model of this table. Conditions and needs of a route
        count only for the candidates that are simulated themselves."""
        known = sorted((each for each in self.models.values() if each.simulated), key=lambda each: "fail" in each.settings)
        models = {each.slug: each for each in known}
        for slug, model in self.models.items():
            if known and not model.simulated:
                models[slug] = next((each for each in known if model.capabilities <= each.capabilities), known[0])
        routes = {slug: _simulated(route, models) for slug, route in self.routes.items()}
        return replace(self, models=MappingProxyType(models), routes=MappingProxyType(routes))

    def route(self, name: str) -> RouteInfo:
        """The route of this name; a model's slug is a route to that model alone. Raises `Unknown`."""
        route = self.routes.get(name)
        return route if route is not None else RouteInfo(slug=name, candidates=(Candidate(self.model(name).slug),))

    def model(self, slug: str) -> ModelInfo:
        """The model of this slug. Raises `Unknown`."""
        try:
            return self.models[slug]
        except KeyError:
            raise Unknown(f"The catalogue has no route or model named {slug!r}.") from None


def _simulated(route: RouteInfo, models: Mapping[str, ModelInfo]) -> RouteInfo:
    """The route with its candidates' stand-ins, each once."""
    found: dict[str, Candidate] = {}
    for each in route.candidates:
        if each.model in models:
            slug = models[each.model].slug
            found[slug] = each if slug == each.model and slug not in found else Candidate(slug)
    needs = route.needs if all(each.model in found for each in route.candidates) else frozenset()
    return replace(route, candidates=tuple(found.values()), needs=needs)


MODELS = """
SELECT m.slug, m.model, m.api_base, m.api_key_env, m.context, m.max_output, m.capabilities, m.settings, m.simulated,
       (SELECT json_agg(json_build_array(p.id, p.input::text, p.cached_input::text, p.output::text, p.cache_write::text,
            p.reasoning::text, p.above) ORDER BY p.above) FROM (
           SELECT DISTINCT ON (above) * FROM flows_price WHERE model_id = m.slug AND valid_from <= statement_timestamp()
           ORDER BY above, valid_from DESC, id DESC
       ) p WHERE p.valid_to IS NULL OR p.valid_to > statement_timestamp()),
       m.limits, m.breaker, m.unpriced, m.api_key_secret
FROM flows_modelentry m
WHERE m.removed_at IS NULL
ORDER BY m.slug
"""
ROUTES = "SELECT slug, candidates, fall_back_on, timeout, strategy, needs, version FROM flows_route WHERE removed_at IS NULL ORDER BY slug"
HOSTS = "SELECT host FROM flows_allowedhost"
LATENCIES = """
SELECT c.model, percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM l.ended_at - l.started_at))
FROM (
    SELECT DISTINCT coalesce(each ->> 'model', each #>> '{}') AS model
    FROM flows_route r, jsonb_array_elements(r.candidates) each WHERE r.strategy = 'fastest' AND r.removed_at IS NULL
) c CROSS JOIN LATERAL (
    SELECT started_at, ended_at FROM flows_call
    WHERE kind = 'model' AND target = c.model AND status = 'succeeded' AND NOT cached
        AND started_at > statement_timestamp() - interval '1 day'
    ORDER BY id DESC LIMIT 20
) l GROUP BY c.model
"""
"""The median of a model's last twenty answers within a day, for the models of the routes that ask for the fastest."""


async def load_table(connection: AsyncConnection[Any]) -> RoutingTable:
    """The catalogue as it is now, read in four queries."""
    found = []
    for query in (MODELS, ROUTES, HOSTS, LATENCIES):
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(query.encode())
            found.append(await cursor.fetchall())
    return table_from_rows(*found)


def current_table() -> RoutingTable:
    """The same through Django's connection, for pages and commands."""
    return table_from_rows(*map(_fetched, (MODELS, ROUTES, HOSTS, LATENCIES)))


def current_prices() -> RoutingTable:
    """Only the models with their prices and the routes to them, in two queries: what reckoning needs."""
    return table_from_rows(_fetched(MODELS), _fetched(ROUTES), ())


def _fetched(query: str) -> list[Any]:
    with django_connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def table_from_rows(
    models: Iterable[Any], routes: Iterable[Any], hosts: Iterable[Any], latencies: Iterable[Any] = ()
) -> RoutingTable:
    """The table from rows in the columns of `MODELS`, `ROUTES`, `HOSTS` and `LATENCIES`."""
    models = list(models)
    stated = {row[0]: CallLimits.of("model", row[0], _json(row[10])) for row in models}
    return RoutingTable(
        limits=MappingProxyType({slug: limits for slug, limits in stated.items() if limits is not None}),
        models=MappingProxyType({row[0]: _model(row) for row in models}),
        routes=MappingProxyType({row[0]: _route(row) for row in routes}),
        allowed_hosts=frozenset(row[0] for row in hosts),
        latencies=MappingProxyType({row[0]: float(row[1]) for row in latencies}),
    )


def _route(row: Any) -> RouteInfo:
    slug, candidates, fall_back_on, timeout, strategy, needs, version = row
    read = {"candidates": _json(candidates), "fall_back_on": _json(fall_back_on), "needs": _json(needs)}
    return route_of(slug, {**read, "timeout": timeout, "strategy": strategy}, version)


def route_of(slug: str, definition: Mapping[str, Any], version: int = 0) -> RouteInfo:
    """The route of this definition, as a row or a version of it holds it."""
    return RouteInfo(
        slug,
        tuple(Candidate.of(each) for each in definition["candidates"]),
        frozenset(definition["fall_back_on"]),
        definition["timeout"],
        definition["strategy"],
        frozenset(definition["needs"]),
        version,
    )


def _model(row: Any) -> ModelInfo:
    return ModelInfo(
        slug=row[0],
        model=row[1],
        api_base=row[2],
        api_key_env=row[3],
        context=row[4],
        max_output=row[5],
        capabilities=frozenset(_json(row[6])),
        settings=MappingProxyType(_json(row[7])),
        simulated=row[8],
        price=price_of_rows(_json(row[9]) or ()),
        breaker=breaker_of(_json(row[11])),
        unpriced=row[12],
        api_key_secret=row[13],
    )


def price_of_rows(rows: Iterable[Any]) -> PriceRow | None:
    """The price from rows of (id, input, cached input, output, cache write, reasoning, above), by rising `above`; None where none
    holds for short requests."""
    tiers = []
    for id_, *figures, above in rows:
        given, cached, output, written, reasoning = (_decimal(each) for each in figures)
        tiers.append(PriceRow(UUID(str(id_)), given, cached, output, written, reasoning, above))
    return replace(tiers[0], beyond=tuple(tiers[1:])) if tiers and tiers[0].above == 0 else None


def _json(value: Any) -> Any:
    """Django's connection gives jsonb as text, a bare psycopg connection as values."""
    return json.loads(value) if isinstance(value, str) else value


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)
