"""A world for the planner alone: a journal as the database keeps it, steps that answer as they are told, and crashes anywhere.

What a step answers depends on its path and attempt only, so that a run that crashed must end as one that did not.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flows.engine.failures import BadRequest, Failure, Unavailable
from flows.engine.graph import Flow
from flows.engine.kinds import Done
from flows.engine.plan import Begin, Child, End, Entry, Handle, Record, Retry, RunFacts, Withdraw
from flows.engine.planner import Planner


@dataclass
class Journal:
    """Rows by (path, attempt), each with the number of the event that wrote it last, as `flows_attempt` has them."""

    rows: dict[tuple[str, int], tuple[int, Entry]] = field(default_factory=dict)
    begun: dict[str, tuple[int, int]] = field(default_factory=dict)  # path → (number of its first begin, newest attempt)
    seq: int = 0

    def write(self, entry: Entry) -> None:
        self.seq += 1
        old = self.rows.get((entry.path, entry.n))
        given_up = old is not None and old[1].remaining is not None and entry.status == "skipped"
        assert old is None or given_up or old[1].status in {"open", "waiting"}, (
            f"{entry.path} was written twice: {old} and {entry}"
        )
        if old is not None and entry.checkpoint is None:
            entry = replace(entry, checkpoint=old[1].checkpoint)
        self.rows[entry.path, entry.n] = (self.seq, entry)

    def begin(self, path: str, n: int) -> None:
        self.seq += 1
        first = self.begun.get(path, (self.seq, n))[0]
        self.begun[path] = (first, n)

    def succeeded(self) -> set[str]:
        return {path for (path, _), (_, entry) in self.rows.items() if entry.status == "succeeded"}

    def _behind(self, path: str, seq: int) -> bool:
        """Whether the row is of a round that a loop has left behind, or inside a container that has finished."""
        return any(
            after > seq and path.startswith((f"{outer}[", f"{outer}/"))
            for (outer, _), (after, entry) in self.rows.items()
            if (entry.status == "open" and "round" in (entry.checkpoint or {}))
            or (entry.status in {"succeeded", "failed"} and not {"[", "/", "."} & set(outer))
        )

    def entries(self) -> list[Entry]:
        """What an engine that takes the run up reads, in its order (`ATTEMPTS` and `CALLS` of `flows/execution/claims.py`)."""
        final = {
            p for (p, _), (_, e) in self.rows.items() if e.status in {"succeeded", "skipped"} or (e.error and e.remaining is None)
        }
        lines: list[tuple[float, Entry]] = [
            (seq, entry)
            for (path, _), (seq, entry) in self.rows.items()
            if entry.status != "skipped" and (entry.state or (entry.error or {}).get("fails_run") or not self._behind(path, seq))
        ]
        for path, (seq, n) in self.begun.items():
            if path in final:
                continue
            lines.append((seq, Entry(path, n, "begun")))
            failed = [m for (p, m), (_, e) in self.rows.items() if p == path and e.status == "failed"]
            if failed and n > max(failed):
                lines.append((float("inf"), Entry(path, n, "begun")))
        return [entry for _, entry in sorted(lines, key=lambda line: line[0])]


@dataclass
class Ending:
    end: End
    begins: Counter[str]
    journal: Journal


class World:
    """Runs one flow. `crashes` is the chance that the planner is lost after a decision; `fails` that an attempt fails."""

    def __init__(
        self,
        flow: Flow,
        value: Any,
        *,
        seed: int,
        crashes: float = 0.0,
        fails: float = 0.2,
        steps_cap: int | None = None,
        children: Mapping[str, Child] | None = None,
    ) -> None:
        self.flow = flow
        self.children = children or {}
        self.facts = RunFacts(value, dict(flow.document.state or {}), {"id": "run_1"}, steps_cap)
        self.random = random.Random(seed)
        self.crashes = crashes
        self.crash_at: int | None = None  # the one record after which the planner is lost
        self.records = 0
        self.fails = fails
        self.journal = Journal()
        self.begins: Counter[str] = Counter()
        self.steps = 0

    def run(self) -> Ending:
        """Until the end. Fails if the run neither ends nor waits for anything."""
        planner = self._planner()
        flying: dict[str, Begin] = {}
        for _ in range(20_000):
            end = self._carry_out(planner, flying)
            if end is not None:
                assert not planner.decide(), "there were decisions after the end"
                return Ending(end, self.begins, self.journal)
            self.records += 1
            if self.random.random() < self.crashes or self.records == self.crash_at:
                self.steps = planner.taken_steps
                planner, flying = self._planner(), {}
                continue
            if planner.more:
                continue
            self._advance(planner, flying)
        raise AssertionError("the run does not end")

    def _planner(self) -> Planner:
        planner = Planner(self.flow, replace(self.facts, steps_taken=self.steps))
        planner.replay(self.journal.entries(), self.children)
        return planner

    def _carry_out(self, planner: Planner, flying: dict[str, Begin]) -> End | None:
        """Writes down what was decided, as one record: all of it, or, in a crash before, nothing."""
        for decision in planner.decide():
            match decision:
                case Begin(path, n):
                    assert path not in self.journal.succeeded(), f"{path} had succeeded and begins again"
                    if decision.node.kind.slug in {"model", "tool"}:
                        self.journal.begin(path, n)
                    self.begins[path] += 1
                    flying[path] = decision
                case Record(path, n, _, status, done, error, checkpoint):
                    done = done or Done(port="")
                    self.journal.write(Entry(path, n, status, done.port, done.output, done.state, error, None, checkpoint))
                case Retry(path, n, _, delay, error):
                    self.journal.write(Entry(path, n, "failed", error=error, remaining=delay))
                case Withdraw(path, n):
                    self.journal.write(Entry(path, n, "skipped"))
                case Handle(path, status, error):
                    self.journal.write(Entry(path, 1, status, error=error))
                case End():
                    return decision
        return None

    def _advance(self, planner: Planner, flying: dict[str, Begin]) -> None:
        """Lets one thing happen: a step comes home, a wait ends, a back-off is over."""
        choices = [("home", path) for path in sorted(flying)] + [("held", path) for path in sorted(planner.held)]
        assert choices, f"nothing can happen, and the run has not ended: {[(t.path, t.status) for t in planner.tasks.values()]}"
        what, path = self.random.choice(choices)
        if what == "held":
            self._end_wait(planner, path)
            return
        begin = flying.pop(path)
        if begin.node.kind.slug in {"approval", "wait"}:
            self.journal.write(Entry(path, begin.n, "waiting"))
            planner.wait(path)
            if path not in planner.held:
                del self.journal.rows[path, begin.n]
            return
        failure = self._failure(path, begin.n)
        if failure is None and begin.node.kind.slug == "subflow":
            planner.enter(path, self.children[begin.node.settings.flow], begin.rendered["input"])  # type: ignore[attr-defined]
        elif failure is None:
            planner.succeed(path, Done({"v": _number(path) % 7}))
        else:
            planner.fail(path, failure)

    def _end_wait(self, planner: Planner, path: str) -> None:
        task = planner.held[path]
        if task.status == "retrying":
            planner.resume(path)
        elif task.node.kind.slug == "approval":
            outcome = "approve" if _number(path) % 3 else "reject"
            planner.succeed(path, Done({"outcome": outcome, "payload": {}}, outcome))
        else:
            planner.succeed(path, Done(None))

    def _failure(self, path: str, n: int) -> Failure | None:
        if (_number(f"{path}#{n}") % 1000) / 1000 >= self.fails:
            return None
        return Unavailable("down") if _number(f"{path}!{n}") % 2 else BadRequest("wrong")


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=4).digest(), "big")


def plain_document(steps: Mapping[str, Any], edges: list[str], **more: Any) -> dict[str, Any]:
    return {"orchestrator": 1, "name": "Simulated", "steps": dict(steps), "edges": edges, **more}
