"""The dependability report: the four questions that one should ask of a flow, answered from the flow itself.

How does it sequence its steps, how does it handle errors, how does it control cost, how does it enforce approvals? Pure: a
compiled flow and what the catalogue says of what it uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flows.access.installation import money
from flows.builder.findings import (
    Finding,
    Ground,
    Placed,
    Question,
    ToolFacts,
    asks_models,
    findings,
    placed,
    reaches_outside,
    unasked,
)
from flows.engine.document import Limits
from flows.engine.graph import Flow

QUESTIONS: dict[Question, str] = {
    "sequence": "How does it sequence its steps?",
    "errors": "How does it handle errors?",
    "cost": "How does it control cost?",
    "approvals": "How does it enforce approvals?",
}
AT_LIMIT = {
    "pause": "a person is asked",
    "cheaper": "it goes on with cheaper models",
    "finish": "it finishes with what it has",
    "stop": "the run stops",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One question with its answer, a sentence each, and what was found wrong."""

    question: Question
    title: str
    sentences: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    answers: tuple[Answer, ...]
    findings: tuple[Finding, ...]

    @property
    def serious(self) -> int:
        return sum(each.weight == "serious" for each in self.findings)

    @property
    def in_words(self) -> str:
        """The report in one line."""
        if not self.findings:
            return "Nothing to mend"
        advice = len(self.findings) - self.serious
        parts = [f"{self.serious} serious" if self.serious else "", f"{advice} to consider" if advice else ""]
        return ", ".join(filter(None, parts))


def report_on(flow: Flow, ground: Ground) -> Report:
    """The answers in the order of the questions."""
    steps = list(placed(flow.graph))
    found = findings(flow, ground)
    said = {
        "sequence": _sequence(flow, steps, ground),
        "errors": _errors(flow, steps, ground),
        "cost": _cost(flow, steps, ground),
        "approvals": _approvals(steps, ground),
    }
    answers = [
        Answer(question, title, tuple(said[question]), tuple(each for each in found if each.question == question))
        for question, title in QUESTIONS.items()
    ]
    return Report(tuple(answers), tuple(found))


def _sequence(flow: Flow, steps: list[Placed], ground: Ground) -> Iterator[str]:
    first = [flow.graph.nodes[key] for key in flow.graph.start]
    names = _and([each.label for each in steps if each.node in first and not each.holder])
    yield f"It has {_count(len(steps), 'step')} and begins with {names}."
    for each in steps:
        settings, kind = each.node.settings, each.node.kind.slug
        if kind == "branch":
            ports = ", ".join(sorted(each.node.ports))
            by = "a model’s answer" if _hears_a_model(each, steps) else "the data"
            yield f"{each.label} chooses by {by}, among the paths {ports}."
        elif kind == "map":
            most = getattr(settings, "concurrency", 1)
            yield f"{each.label} does its steps once for each item of {getattr(settings, 'over', 'a list')}, at most {most} at once."
        elif kind == "loop":
            yield f"{each.label} repeats its steps at most {getattr(settings, 'max', '?')} times."
        elif kind == "agent":
            most = f"{_count(getattr(settings, 'max_turns', 0), 'turn')} and {_count(getattr(settings, 'parallel', 0), 'call')} at once"
            yield f"{each.label} lets a model decide what to do next, within at most {most}; {_at_bounds(each)}."
        elif kind == "subflow":
            yield f"{each.label} runs the flow {getattr(settings, 'flow', '?')} within this one."
        for tool, inside in ground.behind(each):
            goes = (
                f"may go on as the flow {inside.flow}, its tool {tool},"
                if each.is_agent
                else f"goes on as the flow {inside.flow}"
            )
            yield f"{each.label} {goes} within this one."
    forks = [each.label for each in steps if any(len(targets) > 1 for targets in each.node.outgoing.values())]
    if forks or len(first) > 1:
        yield f"Paths run in parallel after {_and(forks or ['the start'])}."
    if any(each.node.kind.slug == "agent" for each in steps):
        yield "Within its bounds a model chooses the path; the rest is fixed by the document."
    elif any(each.node.kind.slug == "branch" and _hears_a_model(each, steps) for each in steps):
        yield "The paths are fixed by the document; a model’s answer decides which of them is taken."
    else:
        yield "The path is fixed by the document: models fill in answers and choose nothing."


def _at_bounds(each: Placed) -> str:
    """What an agent does when it reaches a bound."""
    if each.node.limits is not None and each.node.limits.at_limit == "finish":
        return "at a bound it is told to conclude"
    return "at a bound it leaves by its port limit" if "limit" in each.node.outgoing else "at a bound it fails"


def _hears_a_model(branch: Placed, steps: list[Placed]) -> bool:
    """Whether a branch's conditions look at what a model said."""
    models = {each.node.key for each in steps if asks_models(each)}
    text = branch.node.settings.model_dump_json()
    return any(key in models for key in re.findall(r"steps\.(\w+)", text))


def _errors(flow: Flow, steps: list[Placed], ground: Ground) -> Iterator[str]:
    outside = [each for each in steps if reaches_outside(each)]
    if not outside:
        yield "It reaches nothing outside, so only its own expressions can fail."
        return
    again = [each for each in outside if each.node.retry.attempts > 1]
    reach = f"Of {_count(len(outside), 'step')} that {'reaches' if len(outside) == 1 else 'reach'} outside"
    yield f"{reach}, {len(again)} {'is' if len(again) == 1 else 'are'} tried again after a failure that may pass."
    for slug in dict.fromkeys(each.route for each in outside if each.route is not None):
        route = ground.routes.get(slug)
        if route is not None and len(route.candidates) > 1 and route.fall_back_on:
            yield f"Route {slug} asks {route.candidates[0]} first and falls back to {_and(list(route.candidates[1:]))}."
        else:
            yield f"Route {slug} has nothing to fall back to."
    led = [(each, each.node.outgoing["error"]) for each in steps if each.node.outgoing.get("error")]
    labels = {each.node.key: each.label for each in steps}
    for each, targets in led:
        yield f"When {each.label} fails, {_and([labels.get(key, key) for key in targets])} follows."
    on = [each.label for each in steps if each.node.on_error == "continue"]
    if on:
        yield f"When {_and(on)} fails, the run goes on without its result."
    left = [each.label for each in outside if not each.node.outgoing.get("error") and each.node.on_error != "continue"]
    if left:
        yield f"When {_few(left)} fails for good, the run fails."
    if flow.document.on_error is not None:
        yield "When the run fails, steps of their own follow, which cannot make it succeed."


def _cost(flow: Flow, steps: list[Placed], ground: Ground) -> Iterator[str]:
    limits = flow.document.limits or Limits()
    caps = [
        money(str(limits.cost)) if limits.cost is not None else "",
        f"{limits.tokens:,} tokens" if limits.tokens is not None else "",
        f"{_count(limits.steps, 'step')}" if limits.steps is not None else "",
        f"{limits.duration}" if limits.duration is not None else "",
    ]
    given = [cap for cap in caps if cap]
    if given:
        yield f"A run may use at most {_and(given)}; at the limit {AT_LIMIT[limits.at_limit]}."
    else:
        yield "A run has no limit."
    asking = [each for each in steps if asks_models(each)]
    limited = [(each.label, each.node.limits.cost) for each in steps if each.node.limits and each.node.limits.cost is not None]
    own = [f"{label} ({money(str(cost))})" for label, cost in limited]
    if own:
        yield f"Limits of their own have {_and(own)}."
    bounded = [each for each in asking if getattr(each.node.settings, "max_output", None)]
    inside = sorted({found.flow for each in steps for _, found in ground.behind(each) if found.asks_models})
    if inside:
        yield f"Models are asked inside {_and(inside)}, too, which this run pays for."
    if asking:
        yield f"The length of the answer is bounded in {len(bounded)} of {_count(len(asking), 'model step')}."
    elif not inside:
        yield "It asks no model, so a run costs nothing but its tools."


def _approvals(steps: list[Placed], ground: Ground) -> Iterator[str]:
    asking = [each for each in steps if each.node.kind.slug == "approval"]
    writing = [each for each in steps if each.tool and ground.tools.get(each.tool, ToolFacts()).effect == "write"]
    for each in asking:
        yield f"{each.label} {_asks(each)}"
    for each in steps:
        yield from _leashes(each, ground)
    if not asking:
        yield "No step of it asks for approval."
    behind_tools = [(inside.flow, tool) for each in steps for _, inside in ground.behind(each) for tool in inside.writes]
    for flow, tool in dict.fromkeys(behind_tools):
        yield f"The flow {flow}, which it calls as a tool, calls {tool} without anybody’s approval."
    if not writing:
        if not behind_tools:
            yield "It changes nothing outside."
        return
    behind = [each.label for each in writing if each.approved]
    free = [each.label for each in writing if not each.approved]
    if behind:
        yield f"Only behind an approval: {_few(behind)}."
    if free:
        yield f"Without one: {_few(free)}."
    if asking:
        yield "Nobody decides on a run that they started, and a time-out never approves."


def _leashes(each: Placed, ground: Ground) -> Iterator[str]:
    """Which tools an agent may call by itself, and for which people are asked."""
    if not each.is_agent:
        return
    settings: Any = each.node.settings
    granted = [grant.tool for grant in settings.tools if settings.leash_of(grant) != "never"]
    free = unasked(each, ground)
    asked = [
        grant.tool
        for grant in settings.tools
        if settings.leash_of(grant) == "ask"
        or (
            (settings.leash_of(grant) == "risky" and grant.tool not in free)
            and ground.tools.get(grant.tool, ToolFacts()).effect == "write"
        )
    ]
    yield f"{each.label} may call {_and(granted)}." if granted else f"{each.label} may call no tool."
    if asked:
        yield f"People are asked before each call of {_and(asked)}, with exactly what would be sent."
    if free:
        yield f"It may call {_and(free)} without asking, until it has read what others wrote."


def _asks(each: Placed) -> str:
    settings: object = each.node.settings
    approvers = getattr(settings, "approvers", None)
    named = [*getattr(approvers, "people", []), *(f"team {slug}" for slug in getattr(approvers, "teams", []))]
    who = _and(named) if named else "any approver"
    quorum, due, sealed = getattr(settings, "quorum", 1), getattr(settings, "due", None), getattr(settings, "seals", None)
    said = f"asks {who}" + (f", {quorum} of them" if quorum > 1 else "")
    said += f", within {due}" if due is not None else ", without a deadline"
    return said + (f", and seals what {sealed} sends." if sealed else ".")


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _few(labels: list[str]) -> str:
    return _and(labels) if len(labels) <= 4 else f"{', '.join(labels[:3])} and {len(labels) - 3} more"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
