"""A dry run of a route: what it would have chosen for its last calls, at which cost and latency. Nothing is asked and nothing changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.utils import timezone

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.refusals import Invalid
from flows.access.rights import Right, require
from flows.costs.prices import cost_of
from flows.costs.tokens import tokens_of_request
from flows.models import Call, RouteVersion
from flows.models.identifiers import shown
from flows.routing.choosing import Walk, Wanted
from flows.routing.definitions import RouteInfo, slugs_of
from flows.routing.entries import RoutePart
from flows.routing.figures import Figures, figures_by_model
from flows.routing.providers.base import Usage
from flows.routing.table import RoutingTable, current_table, route_of
from flows.runs.actions.put_route import faults_of_route

CALLS: Final = 100
DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Replayed:
    """One call that was answered: by whom, and who would have been asked first. Costs are dollars, None where no price is known;
    seconds afterwards are the median of that model's newest calls. `after` is empty where nobody may be asked, and `why` says so."""

    call: Call
    before: str
    after: str
    why: str
    cost_before: Decimal | None
    cost_after: Decimal | None
    seconds_before: float
    seconds_after: float | None

    @property
    def differs(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class DryRun:
    """What the newest calls of a route would have become."""

    calls: tuple[Replayed, ...]

    @property
    def differing(self) -> tuple[Replayed, ...]:
        return tuple(each for each in self.calls if each.differs)

    @property
    def cost_before(self) -> Decimal:
        return sum((each.cost_before or Decimal(0) for each in self._comparable), Decimal(0))

    @property
    def cost_after(self) -> Decimal:
        return sum((each.cost_after or Decimal(0) for each in self._comparable), Decimal(0))

    @property
    def unpriced(self) -> int:
        """Calls that are in neither sum, since one of their costs is not known."""
        return len(self.calls) - len(self._comparable)

    @property
    def seconds_before(self) -> float | None:
        return _mean([each.seconds_before for each in self._measured])

    @property
    def seconds_after(self) -> float | None:
        return _mean([each.seconds_after for each in self._measured if each.seconds_after is not None])

    @property
    def _comparable(self) -> list[Replayed]:
        return [each for each in self.calls if each.cost_before is not None and each.cost_after is not None]

    @property
    def _measured(self) -> list[Replayed]:
        return [each for each in self.calls if each.seconds_after is not None]


def dry_run(actor: Actor, slug: str, part: RoutePart) -> DryRun:
    """The newest answered calls of a route, led by `part` instead, of the runs that the actor may see. Raises `Forbidden`, and `Invalid`
    naming what is wrong with `part`."""
    require(actor, Right.EDIT_ROUTES)
    faults = faults_of_route(slug, part)
    if faults:
        raise Invalid("The route cannot be used as it is.", problems=faults)
    table, figures = current_table(), figures_by_model()
    route = route_of(slug, part.stored())
    return DryRun(tuple(_replayed(call, route, table, figures) for call in _newest(actor, slug, table)))


def _newest(actor: Actor, slug: str, table: RoutingTable) -> list[Call]:
    versions = RouteVersion.objects.filter(route_id=slug).values_list("definition", flat=True)
    models = {model for definition in versions for model in slugs_of(definition["candidates"])}
    if slug in table.routes:
        models |= set(table.routes[slug].models)
    return list(
        Call.objects.filter(
            kind="model",
            target__in=sorted(models),
            route=slug,
            status="succeeded",
            cached=False,
            started_at__gt=timezone.now() - timedelta(days=DAYS),
            run__in=runs_for(actor),
        )
        .select_related("run")
        .defer("response", "run__input", "run__output")
        .order_by("-id")[:CALLS]
    )


def _replayed(call: Call, route: RouteInfo, table: RoutingTable, figures: Mapping[str, Figures]) -> Replayed:
    asked = json.loads(call.request or "{}")
    tokens = call.input_tokens or tokens_of_request(asked.get("messages") or [], asked.get("output"))
    lot = f"{shown('run', call.run_id)}/{call.path}/{call.attempt}"
    wanted = Wanted(tokens, asked.get("max_output"), tags=frozenset(call.run.tags), lot=lot)
    latencies = {slug: each.median for slug, each in figures.items() if each.median is not None}
    walk = Walk(route, wanted, table.models, latencies)
    seconds = (call.ended_at - call.started_at).total_seconds() if call.ended_at is not None else 0.0
    if not walk.order:
        return Replayed(call, call.target, "", walk.nobody().message, call.settled, None, seconds, None)
    chosen = walk.order[0]
    if chosen.slug == call.target:
        return Replayed(call, call.target, chosen.slug, walk.why(chosen), call.settled, call.settled, seconds, seconds)
    usage = Usage(
        call.input_tokens or 0,
        call.cached_input_tokens or 0,
        call.output_tokens or 0,
        call.reasoning_tokens or 0,
        cache_write_tokens=call.cache_write_tokens or 0,
    )
    cost = cost_of(usage, chosen.price)
    return Replayed(call, call.target, chosen.slug, walk.why(chosen), call.settled, cost, seconds, latencies.get(chosen.slug))


def _mean(figures: list[float]) -> float | None:
    return sum(figures) / len(figures) if figures else None
