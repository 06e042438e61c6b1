"""The catalogue as a fire drill has it: the same routes, with stand-ins that fail in one way and cost nothing.

Each candidate of each route has a stand-in of its own, so the first of one route may be down while it answers as the second of another.
A stand-in keeps price, context, capabilities and conditions of the model that it stands for, and has another name, so nothing that
happens in a drill says anything of the model itself: neither its health, nor its figures, nor its permits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from flows.engine.failures import Failure
from flows.routing.definitions import ModelInfo, RouteInfo
from flows.routing.table import RoutingTable

SCRIPTS: Final[Mapping[str, str]] = {
    "outage": "outage",
    "rate_limit": "fail 429 once, then answer",
    "bad_json": "garbage once, then answer",
}
"""What the first candidate of each route does wrong, by the fault that is rehearsed."""

PREFIX: Final = "drill/"


class AlwaysWell:
    """The health of stand-ins: every one may be asked, and nothing is remembered of it."""

    async def refusal(self, model: ModelInfo) -> Failure | None:
        """None: it may be asked."""
        return None

    async def heard(self, model: ModelInfo, failure: Failure | None) -> None:
        """Nothing."""

    async def aclose(self) -> None:
        """Nothing to close."""


def drilled(table: RoutingTable, fault: str) -> RoutingTable:
    """The catalogue in which each route's first candidate has this fault. Candidates are asked in the order in which they stand, so
    that the first to be asked is the one that fails."""
    script = SCRIPTS.get(fault, "")
    models = {slug: _stand_in(model, slug, script) for slug, model in table.models.items()}
    routes: dict[str, RouteInfo] = {}
    for slug, route in table.routes.items():
        candidates = []
        for place, each in enumerate(route.candidates):
            if each.model in table.models:
                name = f"{slug}/{each.model}"
                models[PREFIX + name] = _stand_in(table.models[each.model], name, "" if place else script)
                candidates.append(replace(each, model=PREFIX + name))
        routes[slug] = replace(route, candidates=tuple(candidates), strategy="ordered")
    for model in list(models.values()):
        models.setdefault(model.slug, model)
    return replace(table, models=MappingProxyType(models), routes=MappingProxyType(routes), limits=MappingProxyType({}))


def stands_for(target: str) -> str:
    """The model behind the name of a stand-in."""
    return target.rpartition("/")[2]


def _stand_in(model: ModelInfo, name: str, script: str) -> ModelInfo:
    settings: Mapping[str, str] = {"script": script} if script else {}
    return replace(
        model,
        slug=PREFIX + name,
        model="sim/drill",
        api_base="",
        api_key_env="",
        api_key_secret="",
        settings=settings,
        simulated=True,
    )
