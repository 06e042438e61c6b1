"""What a policy would have asked: tried on the calls of the last runs, without changing anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from approvals.policies.settings import PolicySettings
from flows.access.actor import Actor
from flows.access.masking import mask_of, masks_of
from flows.access.querysets import runs_for
from flows.engine.expressions import ExpressionError, parse_expression
from flows.models import Call, Run

RUNS = 100
MOST_CALLS = 5000
SHOWN_FIELDS = 4


@dataclass(frozen=True, slots=True)
class Tried:
    """One call on which the policy would have asked, or, with `problem`, could not be applied."""

    run: Run
    path: str
    tool: str
    fields: list[tuple[str, str]]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    runs: int
    calls: int
    asked: list[Tried]
    failed: list[Tried]


def tried_on_last_runs(actor: Actor, settings: PolicySettings) -> Trial:
    """The calls of tools in the last 100 live runs that the actor may see, by what the policy would have said of each."""
    runs = {run.id: run for run in runs_for(actor).filter(purpose="live").select_related("flow").order_by("-id")[:RUNS]}
    calls = Call.objects.filter(run_id__in=runs, kind="tool").order_by("-id")
    masks_of(list(runs.values()))
    asked: list[Tried] = []
    failed: list[Tried] = []
    seen: set[tuple[UUID, str]] = set()
    condition = parse_expression(settings.when) if settings.when.strip() else None
    for call in calls.values("run_id", "path", "target", "request")[:MOST_CALLS]:
        run, place = runs[call["run_id"]], (call["run_id"], call["path"])
        if place in seen or not _in_scope(settings, call["target"], run.flow.slug):
            continue
        seen.add(place)
        payload = json.loads(call["request"]) if call["request"] else None
        shown = fields_of(mask_of(run).value(payload))
        names = {"payload": payload, "flow": run.flow.slug, "tool": call["target"]}
        try:
            if condition is None or condition.evaluate(names) is True:
                asked.append(Tried(run, call["path"], call["target"], shown))
        except ExpressionError as error:
            failed.append(Tried(run, call["path"], call["target"], shown, str(error)))
    return Trial(len(runs), len(seen), asked, failed)


def _in_scope(settings: PolicySettings, tool: str, flow: str) -> bool:
    return settings.applies_to(tool, flow) or not (settings.tools or settings.flows)


def fields_of(payload: Any) -> list[tuple[str, str]]:
    """The first few single values of a payload, as texts."""
    if not isinstance(payload, dict):
        return []
    pairs = [(name, str(value)[:80]) for name, value in payload.items() if isinstance(value, (str, int, float)) and str(value)]
    return pairs[:SHOWN_FIELDS]
