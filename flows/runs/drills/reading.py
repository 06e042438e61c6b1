"""What came of a drill, read from the journals of its runs and told in words."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from flows.access.installation import money
from flows.engine.drawing import label_of
from flows.engine.states import TERMINAL_STATES
from flows.execution.handling import Fault
from flows.models import Attempt, Call, Drill, Event, Request, Run
from flows.routing.drilling import stands_for
from flows.runs.documents import flow_of
from flows.runs.drills.tending import asks_approvers, runs_of

Verdict = Literal["going", "handled", "unhandled", "untouched"]

TITLES: Final[Mapping[Fault, str]] = {
    "outage": "Outage",
    "rate_limit": "Rate limit",
    "bad_json": "Bad output",
    "dead_worker": "Dead worker",
    "slow_person": "Slow person",
}
PLAYED: Final[Mapping[Fault, str]] = {
    "outage": "The first model of each route is down and stays down.",
    "rate_limit": "The first model of each route answers 429 to each step once.",
    "bad_json": "The first model of each route answers each step once with what is no JSON.",
    "dead_worker": "The worker dies while its first call is in flight.",
    "slow_person": "Nobody answers in time; deadlines come after a second.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """What happened at one step. `how` is one word: retry, fallback, repair, recovery, question, error path, error handler, deadline,
    escalation, parked, or, where nothing handled it, nothing."""

    path: str
    how: str
    text: str

    @property
    def handled(self) -> bool:
        return self.how != "nothing"


@dataclass(frozen=True, slots=True)
class Chapter:
    """One fault: what was played, what handled it at which step, and how the run ended."""

    fault: Fault
    run: Run
    lines: tuple[Line, ...]
    untouched: str = ""  # why the fault met no step

    @property
    def title(self) -> str:
        return TITLES[self.fault]

    @property
    def played(self) -> str:
        return PLAYED[self.fault]

    @property
    def verdict(self) -> Verdict:
        if self.run.status not in TERMINAL_STATES:
            return "going"
        if not self.lines:
            return "untouched"
        return "handled" if all(line.handled for line in self.lines) else "unhandled"

    @property
    def ended(self) -> str:
        """How the run ended, with its reason."""
        error = json.loads(self.run.error) if self.run.error else {}
        why = f": {error.get('step')}: {str(error.get('message', '')).rstrip('.')}" if error else ""
        return f"The run ended as {self.run.status.replace('_', ' ')}{why}"


@dataclass(frozen=True, slots=True)
class DrillReport:
    """A drill as it stands. `real` is what its calls really cost, in dollars."""

    drill: Drill
    chapters: tuple[Chapter, ...]
    calls: int
    real: Decimal

    @property
    def going(self) -> bool:
        return any(chapter.verdict == "going" for chapter in self.chapters)

    @property
    def unhandled(self) -> tuple[Chapter, ...]:
        return tuple(chapter for chapter in self.chapters if chapter.verdict == "unhandled")

    @property
    def in_words(self) -> str:
        """The drill in one sentence."""
        if self.going:
            done = sum(chapter.verdict != "going" for chapter in self.chapters)
            return f"Under way: {done} of {len(self.chapters)} rehearsed."
        if self.unhandled:
            return f"Nothing handles: {', '.join(chapter.title.lower() for chapter in self.unhandled)}."
        met = sum(chapter.verdict == "handled" for chapter in self.chapters)
        return f"Each of the {met} faults that it met was handled." if met else "None of the faults met it."

    @property
    def cost_in_words(self) -> str:
        return (
            f"{self.calls} calls, none of them real money: it cost nothing."
            if not self.real
            else f"It cost {money(f'{self.real:f}')}."
        )


def drill_report(drill: Drill) -> DrillReport:
    """The report of a drill, as far as it has come."""
    runs = runs_of(drill)
    chapters = tuple(_chapter(fault, run) for fault, run in runs.items())
    calls = Call.objects.filter(run_id__in=[run.id for run in runs.values()])
    real = sum((each.settled or Decimal(0) for each in calls.filter(simulated=False).only("settled")), Decimal(0))
    return DrillReport(drill, chapters, calls.count(), real)


def _chapter(fault: Fault, run: Run) -> Chapter:
    read = _Journal(run)
    found: list[Line]
    if fault == "dead_worker":
        found, why = list(read.of_death()), "The run made no call on this path."
    elif fault == "slow_person":
        found, why = list(read.of_people()), "Nobody is asked on this path."
    else:
        found, why = list(read.of_models()), read.why_no_model_failed(fault)
    return Chapter(fault, run, tuple(found), "" if found else why)


class _Journal:
    """One run of a drill as it can be told."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls = list(Call.objects.filter(run_id=run.id).order_by("path", "attempt", "n").defer("request", "response"))
        self.error: Mapping[str, Any] = json.loads(run.error) if run.error else {}

    # ------------------------------------------------------------------ models that fail

    def of_models(self) -> Iterator[Line]:
        for path, group in itertools.groupby((call for call in self.calls if call.kind == "model"), key=lambda call: call.path):
            calls = list(group)
            if not any(call.status.startswith("failed") for call in calls):
                continue
            ways = [_way(*pair) for pair in itertools.pairwise(calls) if pair[0].status.startswith("failed")]
            told = ", then ".join(dict.fromkeys(text for _, text in ways))
            if calls[-1].status == "succeeded":
                how = ways[-1][0] if ways else "fallback"
                yield Line(path, how, f"{self._label(path)}: {told}.")
            else:
                how, after = self._after_failure(path)
                yield Line(path, how, f"{self._label(path)}: {f'{told}, in vain; ' if told else ''}{after}.")

    def why_no_model_failed(self, fault: Fault) -> str:
        """Why the fault met no step."""
        if not any(call.kind == "model" for call in self.calls):
            return "No model is asked on this path."
        if fault == "bad_json":
            return "No step on this path asks for JSON: whatever text comes is taken as it is."
        return "The first model of the route was not asked: its conditions left it out."

    def _after_failure(self, path: str) -> tuple[str, str]:
        """What followed when the step had failed for good."""
        if self.run.status == "failed" and self.error.get("step") == path:
            if Event.objects.filter(run_id=self.run.id, type="handler.opened").exists():
                return "error handler", "the run failed, and its error handler was carried out"
            return "nothing", "nothing took over, and the run failed"
        if self.run.status not in {"succeeded", "failed"}:
            return "nothing", f"nothing took over, and the run ended as {self.run.status.replace('_', ' ')}"
        node = flow_of(self.run.version_id).graph.nodes.get(path)
        if node is not None and node.outgoing.get("error"):
            return "error path", f"its error path led on to {', '.join(self._label(key) for key in node.outgoing['error'])}"
        if node is not None and node.on_error == "continue":
            return "error path", "the run went on without its result"
        return "error path", "what it stands in went on without it"

    # ------------------------------------------------------------------ a worker that dies

    def of_death(self) -> Iterator[Line]:
        taken_over = Event.objects.filter(run_id=self.run.id, type="run.reclaimed").order_by("seq").first()
        lost = [call for call in self.calls if call.status == "unknown" and call.error_class == "unknown_outcome"]
        if taken_over is None or not lost:
            return
        before = Event.objects.filter(run_id=self.run.id, seq=taken_over.seq - 1).values_list("at", flat=True).first()
        seconds = (taken_over.at - before).total_seconds() if before is not None else 0.0
        kept = Attempt.objects.filter(run_id=self.run.id, status="succeeded", seq__lt=taken_over.seq).count()
        finished = "1 finished step was" if kept == 1 else f"{kept} finished steps were"
        yield Line("", "recovery", f"The run was taken over after {seconds:.1f} s; {finished} kept and not done again.")
        for call in lost:
            yield self._of_lost(call)

    def _of_lost(self, lost: Call) -> Line:
        label = self._label(lost.path)
        later = [each for each in self.calls if each.path == lost.path and (each.attempt, each.n) > (lost.attempt, lost.n)]
        if later:
            end = "succeeded" if later[-1].status == "succeeded" else "failed"
            return Line(lost.path, "recovery", f"{label}: the call of unknown outcome was made again and {end}.")
        if Request.objects.filter(run_id=self.run.id, path=lost.path).exists():
            return Line(lost.path, "question", f"{label}: it may not be made again, so people are asked what became of the call.")
        return Line(lost.path, "nothing", f"{label}: its call was lost, and it was not made again.")

    # ------------------------------------------------------------------ people who do not answer

    def of_people(self) -> Iterator[Line]:
        for asked in Request.objects.filter(run_id=self.run.id).order_by("id"):
            if not asks_approvers(asked):
                continue
            label = self._label(asked.path)
            if asked.state == "expired":
                yield Line(
                    asked.path, "deadline", f"{label}: at its deadline it took the outcome {asked.outcome}, as the flow says."
                )
            elif asked.terms.get("escalated"):
                text = "it was escalated at its deadline, stayed parked without a worker, and took an answer that came late"
                yield Line(asked.path, "escalation", f"{label}: {text}.")
            else:
                text = "it has no deadline, so nobody is reminded; it stayed parked without a worker and took an answer that came late"
                yield Line(asked.path, "parked", f"{label}: {text}.")

    def _label(self, path: str) -> str:
        node = flow_of(self.run.version_id).graph.nodes.get(path)
        return label_of(node.key, node.label) if node is not None else path


def _way(before: Call, after: Call) -> tuple[str, str]:
    """How the step came from a call that failed to its next."""
    if after.attempt != before.attempt:
        return "retry", f"tried again as attempt {after.attempt}"
    if after.target != before.target:
        return "fallback", f"fell back to {stands_for(after.target)}"
    return "repair", "sent its answer back to be repaired"
