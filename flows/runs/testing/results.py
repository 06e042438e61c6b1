"""What became of a test: each step with what it was given, what it gave and what went wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flows.access.masking import mask_of
from flows.engine.courses import HANDLER
from flows.engine.states import OPEN_REQUEST_STATES, TERMINAL_STATES
from flows.execution.handling import Handling
from flows.models import Call, Pin, Request, Run
from flows.runs.documents import documents_of
from flows.runs.reads import Step, steps_of
from flows.runs.testing.supposing import IN_HANDLER, in_handler

MOST_SHOWN = 100  # steps


@dataclass(frozen=True, slots=True)
class Tested:
    """One step. `source` says where its result comes from where it was not carried out; `dry`: its call was only written down."""

    step: Step
    name: str
    source: str
    dry: bool
    sent: Any
    pinnable: bool
    pinned: bool

    @property
    def error(self) -> Any:
        return next((each.error for each in reversed(self.step.attempts) if each.error), None)

    @property
    def output(self) -> str:
        return json.dumps(self.step.output, ensure_ascii=False, indent=2)

    @property
    def port(self) -> str:
        return next((each.port for each in reversed(self.step.attempts) if each.port), "") or "done"

    @property
    def path(self) -> str:
        return self.step.path


@dataclass(frozen=True, slots=True)
class Result:
    """A test as the dock shows it."""

    run: Run
    steps: list[Tested]
    asked: list[Request]
    handling: Handling
    simulated: bool
    estimated: bool
    complete: bool

    @property
    def ended(self) -> bool:
        return self.run.status in TERMINAL_STATES

    @property
    def state(self) -> str:
        """The state of the run; where a failure was supposed, of what handles it."""
        if not (self.handling.fails and self.ended) or self.run.status != "failed":
            return self.run.status
        handling = [each.step.state for each in self.steps if in_handler(each.path)]
        return "succeeded" if handling and "failed" not in handling else "failed"

    @property
    def error(self) -> Any:
        return mask_of(self.run).read(self.run.error)

    @property
    def payloads(self) -> list[tuple[Request, Any]]:
        return [(request, mask_of(self.run).read(request.payload)) for request in self.asked]

    @property
    def seconds(self) -> float | None:
        run = self.run
        return (run.ended_at - run.started_at).total_seconds() if run.started_at and run.ended_at else None


def result_of(run: Run) -> Result:
    """The result so far. The run should be loaded with its flow."""
    handling = Handling.of(run.handling)
    found = steps_of(run)
    document = documents_of([run.version_id]).get(run.version_id)
    own = document.steps if document is not None else {}
    handler = document.on_error if document is not None else None
    named = {**own, **{IN_HANDLER + key: step for key, step in (handler.steps if handler is not None else {}).items()}}
    sent: dict[str, Any] = {}
    mask = mask_of(run)
    dry: set[str] = set()
    simulated = estimated = False
    calls = Call.objects.filter(run=run, pass_number=run.pass_number).order_by("id")
    for path, request, kind, sim, source in calls.values_list("path", "request", "kind", "simulated", "usage_source")[:500]:
        sent.setdefault(path, mask.read(request))
        if kind == "tool" and sim:
            dry.add(path)
        simulated = simulated or (kind == "model" and sim)
        estimated = estimated or source == "estimated"
    pins = set(Pin.objects.filter(flow=run.flow_id).values_list("path", flat=True))
    steps = [
        Tested(
            step,
            (named[step.path].label if step.path in named else "")
            or step.path.removeprefix(IN_HANDLER).replace("_", " ").capitalize(),
            "supposed to fail" if step.path in handling.fails else handling.sources.get(step.path, ""),
            step.path in dry,
            sent.get(step.path),
            step.path in own and step.state == "succeeded",
            step.path in pins,
        )
        for step in found.steps[:MOST_SHOWN]
        if step.path != HANDLER
    ]
    asked = list(Request.objects.filter(run=run, kind="test", state__in=OPEN_REQUEST_STATES).order_by("id"))
    return Result(run, steps, asked, handling, simulated, estimated, found.complete and len(found.steps) <= MOST_SHOWN)
