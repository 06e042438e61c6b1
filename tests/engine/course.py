"""A run in the test's hand: the planner without clock, network or database, and factories of the steps that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.engine.failures import BadRequest, Failure
from flows.engine.graph import Flow
from flows.engine.kinds import Done
from flows.engine.plan import Begin, Child, Decision, End, Entry, Handle, Record, Retry, RunFacts, Withdraw
from flows.engine.planner import Planner
from tests.engine.flows import make_flow
from tests.simulation.world import Journal


class Course:
    """A run in the test's hand: every decision is kept, and nothing happens but what the test says."""

    def __init__(
        self,
        flow: Flow,
        value: Any = None,
        *,
        cap: int | None = None,
        journal: Journal | None = None,
        children: Mapping[str, Child] | None = None,
    ) -> None:
        self.flow = flow
        self.children = children or {}
        self.planner = Planner(flow, RunFacts(value, dict(flow.document.state or {}), {"id": "run_1"}, cap))
        self.journal = journal or Journal()
        self.decisions: list[Decision] = []
        self.flying: dict[str, Begin] = {}
        if journal is not None:
            self.planner.replay(journal.entries(), self.children)
        self.go()

    def go(self) -> Course:
        """Carries out what is decided now."""
        while True:
            decided = self.planner.decide()
            for decision in decided:
                self._keep(decision)
            self.decisions += decided
            if not decided and not self.planner.more:
                return self

    def _keep(self, decision: Decision) -> None:
        match decision:
            case Begin(path, n):
                self.flying[path] = decision
                if decision.node.kind.slug == "tool":
                    self.journal.begin(path, n)
            case Record(path, n, _, status, done, error, checkpoint):
                done = done or Done(port="")
                self.journal.write(Entry(path, n, status, done.port, done.output, done.state, error, None, checkpoint))
            case Retry(path, n, _, delay, error):
                self.journal.write(Entry(path, n, "failed", error=error, remaining=delay))
            case Withdraw(path, n):
                self.journal.write(Entry(path, n, "skipped"))
            case Handle(path, status, error):
                self.journal.write(Entry(path, 1, status, error=error))

    def done(self, path: str, output: Any = None, port: str = "done") -> Course:
        self.flying.pop(path, None)
        self.planner.succeed(path, Done(output, port))
        return self.go()

    def fails(self, path: str, failure: Failure | None = None, **how: Any) -> Course:
        self.flying.pop(path, None)
        self.planner.fail(path, failure or BadRequest("wrong"), **how)
        return self.go()

    def enters(self, path: str, child: Child | None = None, given: Any = None) -> Course:
        """The sub-flow at `path` has its flow: the one of the name that the step gives, on the input that it gives."""
        begin = self.flying.pop(path)
        child = child or self.children[begin.node.settings.flow]  # type: ignore[attr-defined]
        self.planner.enter(path, child, begin.rendered["input"] if given is None else given)
        return self.go()

    def again(self) -> Course:
        """The same run after a crash, from what its journal has."""
        return Course(self.flow, self.planner.facts.input, journal=self.journal, children=self.children)

    def waits(self, path: str) -> Course:
        begin = self.flying.pop(path)
        self.planner.wait(path)
        if path in self.planner.held:
            self.journal.write(Entry(path, begin.n, "waiting"))
        return self.go()

    def resume(self, path: str) -> Course:
        self.planner.resume(path)
        return self.go()

    @property
    def begun(self) -> list[str]:
        return [decision.path for decision in self.decisions if isinstance(decision, Begin)]

    @property
    def skipped(self) -> list[str]:
        return [each.path for each in self.decisions if isinstance(each, Record) and each.status == "skipped"]

    @property
    def withdrawn(self) -> list[str]:
        return [decision.path for decision in self.decisions if isinstance(decision, Withdraw)]

    @property
    def handled(self) -> list[Handle]:
        return [decision for decision in self.decisions if isinstance(decision, Handle)]

    @property
    def retries(self) -> list[Retry]:
        return [decision for decision in self.decisions if isinstance(decision, Retry)]

    @property
    def end(self) -> End | None:
        return next((decision for decision in self.decisions if isinstance(decision, End)), None)

    @property
    def ended(self) -> tuple[str, Any]:
        """Status and output, once it has ended."""
        assert self.end is not None, f"it has not ended; in flight: {list(self.flying)}, held: {list(self.planner.held)}"
        return self.end.status, self.end.output

    @property
    def error(self) -> Mapping[str, Any]:
        """What it failed with, once it has."""
        assert self.end is not None
        assert self.end.error is not None
        return self.end.error

    def recorded(self, path: str) -> Record:
        return next(each for each in reversed(self.decisions) if isinstance(each, Record) and each.path == path)


def tool(**more: Any) -> dict[str, Any]:
    """An effect, which the test brings home."""
    arguments = more.pop("arguments", {})
    return {"kind": "tool", "with": {"tool": "any.tool", "arguments": arguments}, **more}


def value(expression: str = "1", **more: Any) -> dict[str, Any]:
    """A pure step that evaluates an expression."""
    return {"kind": "set", "with": {"values": {"v": f"{{{{ {expression} }}}}"}}, **more}


def approval(**more: Any) -> dict[str, Any]:
    return {"kind": "approval", "with": {"title": "May it?", "payload": {"a": 1}, "approvers": {"teams": ["finance"]}}, **more}


def wait() -> dict[str, Any]:
    return {"kind": "wait", "with": {"for": "1h"}}


def branch(when: str) -> dict[str, Any]:
    return {"kind": "branch", "with": {"cases": [{"port": "yes", "when": when}], "else": "no"}}


def each(over: str, body: dict[str, Any], edges: list[str], output: Any = None, **settings: Any) -> dict[str, Any]:
    """A map."""
    inner = {"steps": body, "edges": edges, "output": output}
    return {"kind": "map", "with": {"over": over, "body": inner, **settings}}


def loop(body: dict[str, Any], edges: list[str], output: Any = None, **settings: Any) -> dict[str, Any]:
    """A loop of at most three rounds, if not said otherwise."""
    return {"kind": "loop", "with": {"max": 3, "body": {"steps": body, "edges": edges, "output": output}, **settings}}


def subflow(flow: str = "other", given: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": "subflow", "with": {"flow": flow, "input": given or {}}, **more}


def child(steps: dict[str, Any], edges: list[str], *, slug: str = "other", number: int = 1, **more: Any) -> Child:
    """What a sub-flow step runs."""
    return Child(make_flow(steps, edges, **more), slug, number, f"{slug}-{number}")


def children(*known: Child) -> dict[str, Child]:
    """By name, as a step asks for them, and by version, as the journal names them."""
    return {each.slug: each for each in known} | {each.version: each for each in known}


def one_each(over: str, **settings: Any) -> dict[str, Any]:
    """A map whose body is one effect."""
    return each(over, {"t": tool()}, ["start -> t"], "{{ steps.t.output }}", **settings)


def course(
    steps: dict[str, Any],
    edges: list[str],
    given: Any = None,
    *,
    cap: int | None = None,
    known: tuple[Child, ...] = (),
    **more: Any,
) -> Course:
    """A run of a flow with these steps; `known` are the flows that its sub-flows run, `more` what else the document has."""
    return Course(make_flow(steps, edges, **more), given, cap=cap, children=children(*known))
