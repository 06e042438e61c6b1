"""What stands in for steps that a test does not carry out: pinned › last test › last run › an example by the schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.access.actor import Actor
from flows.access.querysets import runs_for
from flows.access.rights import Right
from flows.engine.examples import example_of
from flows.engine.graph import Flow as CompiledFlow
from flows.engine.kinds import Done
from flows.engine.nodes import Node
from flows.models import Attempt, Flow, Pin, Run


@dataclass(frozen=True, slots=True)
class StandIn:
    """A result in place of a step's own, and where it comes from: `pinned`, `test #12`, `run #9`, `schema`."""

    done: Done
    source: str


def pins_of(flow: Flow) -> dict[str, Done]:
    """The pinned results of a flow's draft, by path."""
    return {pin.path: Done(json.loads(pin.output), pin.port, json.loads(pin.state)) for pin in Pin.objects.filter(flow=flow)}


def newest_run(actor: Actor, flow: Flow, purpose: str) -> Run | None:
    """The newest test or live run of the flow that came to an end, where its runs may be seen."""
    if not actor.may(Right.SEE_RUNS, flow.team_id):
        return None
    return runs_for(actor).filter(flow=flow, purpose=purpose, ended_at__isnull=False).order_by("-id").first()


def stand_ins(actor: Actor, flow: Flow, compiled: CompiledFlow, target: str) -> dict[str, StandIn]:
    """A result for each step of `compiled` but `target`, each with a port that leads there."""
    nodes = compiled.graph.nodes
    return stand_ins_in(actor, flow, nodes, [key for key in nodes if key != target], set(nodes))


def stand_ins_in(
    actor: Actor, flow: Flow, nodes: Mapping[str, Node], keys: Sequence[str], towards: set[str], prefix: str = ""
) -> dict[str, StandIn]:
    """A result for each of these steps of one graph, by path, which begins with `prefix`. Each leaves by a port that leads to one of
    the steps `towards` which the graph goes, where it has such a port."""
    paths = [prefix + key for key in keys]
    found = {path: StandIn(done, "pinned") for path, done in pins_of(flow).items() if path in paths}
    for purpose, word in (("test", "test"), ("live", "run")):
        run = newest_run(actor, flow, purpose) if len(found) < len(paths) else None
        if run is not None:
            results = results_of(run, [path for path in paths if path not in found])
            found |= {path: StandIn(done, f"{word} #{run.number}") for path, done in results.items()}
    for key, path in zip(keys, paths, strict=True):
        node = nodes[key]
        if path not in found:
            found[path] = StandIn(Done(example_of(node.kind.output_schema(node.settings))), "schema")
        ports = [port for port, targets in node.outgoing.items() if not towards.isdisjoint(targets)]
        done = found[path].done
        if ports and done.port not in ports:
            found[path] = StandIn(Done(done.output, ports[0], done.state), found[path].source)
    return found


def results_of(run: Run, keys: Iterable[str]) -> dict[str, Done]:
    """What these steps of a run gave, as far as they succeeded."""
    rows = Attempt.objects.filter(run=run, pass_number=run.pass_number, path__in=list(keys), status="succeeded")
    listed = rows.values_list("path", "output", "port", "state")
    return {path: Done(_read(output), port or "done", _read(state) or {}) for path, output, port, state in listed}


def _read(text: str | None) -> Any:
    return json.loads(text) if text else None
