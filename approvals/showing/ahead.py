"""About what a decision will spend: what earlier runs of the flow spent in the steps that it lets go on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from approvals.questions import is_question
from approvals.showing.tracing import subflows_of
from flows.access.actor import Actor
from flows.access.rights import Right
from flows.costs.estimates import Estimate, estimate_from, paths_of_steps, spent_at, spent_before
from flows.engine.compiling import compile_flow
from flows.engine.graph import Graph
from flows.engine.paths import Place, downstream, place_of
from flows.engine.problems import DocumentError
from flows.models import Call, Request
from flows.runs.documents import flow_of
from flows.steps import known_kinds

INDEX = r"\[\d+\]"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What an outcome leads to: `paths` is a regular expression of the calls that follow (empty where nothing does), `one` of the part of
    a path that names the item of a map around the request. `again` is another round of the loop around it, whose rounds so far tell
    what one costs."""

    paths: str
    one: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Spending:
    """What an outcome is expected to spend. `estimate` is None where nothing is known of it; `nothing`: no step follows."""

    estimate: Estimate | None = None
    nothing: bool = False
    again: bool = False  # it is about another round


Sums = QuerySet[Call, Any]


def ahead_of(request: Request) -> dict[str, Ahead]:
    """By outcome what it leads to, where the flow's document tells: not of rejections, nor where a model chooses what comes next."""
    outcomes = request.terms.get("outcomes") or {}
    wanted = {name: meaning for name, meaning in outcomes.items() if meaning in ("approve", "changes")}
    if request.run is None or is_question(request) or not wanted:
        return {}
    place = _place(request)
    if place is None:
        return {}
    found = {}
    for name, meaning in wanted.items():
        rounds = _rounds(place) if meaning == "changes" else ""
        ahead = Ahead(rounds, rounds, again=True) if rounds else _following(place, name)
        if ahead is not None:
            found[name] = ahead
    return found


def sums_of(actor: Actor, request: Request, ahead: Mapping[str, Ahead]) -> dict[str, Sums]:
    """What was spent where these outcomes lead; nothing where the actor may not see costs."""
    run = request.run
    if run is None or not actor.may(Right.SEE_COSTS, run.flow.team_id):
        return {}
    return {
        name: spent_at(Call.objects.filter(run_id=run.id), each.paths, each.one)
        if each.again
        else spent_before(actor, run.flow, each.paths, each.one)
        for name, each in ahead.items()
        if each.paths
    }


def spending_from(ahead: Mapping[str, Ahead], sums: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, Spending]:
    """By outcome what it is expected to spend."""
    return {
        name: Spending(estimate_from(sums.get(name, ())), nothing=not each.paths, again=each.again)
        for name, each in ahead.items()
    }


def spending_of(actor: Actor, request: Request) -> dict[str, Spending]:
    """The same, asked for by itself: a query an outcome; empty where the actor may not see costs."""
    if request.run is None or not actor.may(Right.SEE_COSTS, request.run.flow.team_id):
        return {}
    ahead = ahead_of(request)
    return spending_from(ahead, sums_of(actor, request, ahead))


def _place(request: Request) -> Place | None:
    """Where the request stands in its run's flow; None where its document does not tell."""
    assert request.run is not None
    try:
        flow = flow_of(request.run.version_id)
        inside: dict[str, Graph] = {
            at: compile_flow(document, known_kinds()).graph for at, document in subflows_of(request).items()
        }
    except DocumentError:
        return None
    return place_of(flow, request.path, inside)


def _following(place: Place, port: str) -> Ahead | None:
    """The steps after a port of the step at this place, and after all that it is inside of; of an item of a map those of the item."""
    parts, one, here, left = [], "", place, (port,)
    while True:
        keys = set(targets := [key for each in left for key in here.node.outgoing.get(each, ())])
        keys.update(*(downstream(here.graph, key) for key in targets))
        parts.append(paths_of_steps(sorted(keys), _any_index(here.prefix)))
        if here.owner is None:
            break
        if here.owner.node.kind.slug == "agent":
            return None
        if here.owner.node.kind.slug == "map":
            one = f"^{_any_index(here.owner.path)}{INDEX}"
            break
        here, left = here.owner, ("done",)
    return Ahead("|".join(filter(None, parts)), one)


def _rounds(place: Place) -> str:
    """The paths of the rounds of the innermost loop around a place; empty where there is none in its flow."""
    around = place.owner
    while around is not None and place.index is not None:
        if around.node.kind.slug == "loop":
            return f"^{re.escape(around.path)}{INDEX}"
        place, around = around, around.owner
    return ""


def _any_index(path: str) -> str:
    """An expression of the path in which each index may be another one."""
    return INDEX.join(re.escape(part) for part in re.split(INDEX, path))
