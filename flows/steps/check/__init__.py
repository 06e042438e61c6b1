"""Holds a value against rules: it passes, fails, asks for a person, is mended, or stops the run. The worst verdict wins."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from flows.engine.expressions import parse_expression
from flows.engine.failures import CheckStopped, ExpressionFailed
from flows.engine.kinds import Done, Fault, PureKind, Role, Settings, Surroundings
from flows.engine.markers import TemplateValue
from flows.engine.values import Fault as ValueFault
from flows.execution.context import StepContext, WorkKind
from flows.steps.asking import Question, ask
from flows.steps.check.grounded import GroundedRule
from flows.steps.check.judge import JUDGEMENT, JudgeRule, Judging
from flows.steps.check.pii import PIIRule
from flows.steps.check.rules import ContainsRule, ExpressionRule, LengthRule, RegexRule, Rule, SchemaRule

WORST = ("pass", "ask", "fail", "stop")

AnyRule = Annotated[
    SchemaRule | RegexRule | LengthRule | ContainsRule | ExpressionRule | PIIRule | GroundedRule | JudgeRule,
    Field(discriminator="type"),
]

Course = Generator[Judging, Mapping[str, Any], Done]
"""A check in progress: it stops at each question to a judge, and is given the judgement."""


class CheckSettings(Settings):
    """The rules are applied in order, each to the value as the rules before have left it."""

    value: TemplateValue
    rules: list[AnyRule] = Field(min_length=1, max_length=100)


class CheckKind(PureKind, WorkKind):
    """Pure, unless a model judges: then each judgement is a call of the step."""

    slug = "check"
    label = "Check"
    icon = "kind-check"
    begins_with = {"value": "", "rules": [{"type": "length", "min": 1}]}
    ports_from = ("pass", "fail", "ask")
    Settings = CheckSettings

    def ports(self, settings: CheckSettings) -> frozenset[str]:
        return frozenset({"pass", "fail", "ask"})

    def output_schema(self, settings: CheckSettings) -> Mapping[str, Any]:
        finding = {"type": "object", "properties": {"rule": {}, "message": {}, "then": {}}}
        return {
            "type": "object",
            "properties": {"verdict": {"type": "string"}, "findings": {"type": "array", "items": finding}, "value": {}},
        }

    def local_names(self, settings: CheckSettings) -> frozenset[str]:
        return frozenset({"value"})

    def faults(self, settings: CheckSettings, around: Surroundings) -> Iterator[Fault]:
        for index, rule in enumerate(settings.rules):
            if isinstance(rule, LengthRule) and rule.max is not None and rule.max < rule.min:
                yield Fault(("rules", index, "max"), f"`max` {rule.max} is less than `min` {rule.min}", "Exchange them.")
            if isinstance(rule, JudgeRule):
                yield from around.unknown_route(("rules", index, "route"), rule.route)

    def role_of(self, settings: CheckSettings) -> Role:
        return Role.EFFECT if self.routes(settings) else Role.PURE

    def routes(self, settings: CheckSettings) -> tuple[str, ...]:
        return tuple(rule.route for rule in settings.rules if isinstance(rule, JudgeRule))

    def evaluate(self, settings: CheckSettings, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Done:
        try:
            next(_course(settings, rendered, names))
        except StopIteration as end:
            done: Done = end.value
            return done
        raise TypeError("a check with a judge is an effect")

    async def perform(self, context: StepContext) -> Done:
        course = _course(context.settings, context.rendered, context.names)
        judging = next(course)
        while True:
            rule = judging.rule
            question = Question(rule.route, judging.messages, output=JUDGEMENT, temperature=0.0, seed=1)
            reply = await ask(context, question)
            try:
                judging = course.send(reply.output)
            except StopIteration as end:
                done: Done = end.value
                return done


def _course(settings: CheckSettings, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Course:
    value, verdict, findings = rendered["value"], "pass", []
    for rule, fields in zip(settings.rules, rendered["rules"], strict=True):
        found = yield from _messages(rule, fields, value, names)
        outcome: str = rule.then
        if found and rule.then == "fix":
            value = _mended(rule, fields, value, names)
            still = yield from _messages(rule, fields, value, names)
            outcome = "fail" if still else "pass"
        if found:
            findings += [{"rule": rule.type, "message": message, "then": rule.then} for message in found]
            verdict = max(verdict, outcome, key=WORST.index)
    if verdict == "stop":
        raise CheckStopped("; ".join(finding["message"] for finding in findings if finding["then"] == "stop")[:2000])
    return Done({"verdict": verdict, "findings": findings, "value": value}, verdict)


def _messages(
    rule: Any, fields: Mapping[str, Any], value: Any, names: Mapping[str, Any]
) -> Generator[Judging, Mapping[str, Any], list[str]]:
    """What the rule finds wrong, in the flow's own words where it has any."""
    try:
        if isinstance(rule, JudgeRule):
            judgement = yield Judging(rule, rule.messages(value, fields))
            found = list(rule.heard(judgement))
        else:
            found = list(rule.findings(value, fields, names))
    except ValueFault as fault:
        raise ExpressionFailed(f"the rule {rule.type} cannot be applied: {fault}") from None
    return [str(fields["message"])] if found and fields.get("message") else found


def _mended(rule: Rule, fields: Mapping[str, Any], value: Any, names: Mapping[str, Any]) -> Any:
    if rule.fix_with is not None:
        return parse_expression(rule.fix_with).evaluate({**names, "value": value})
    return rule.fixed(value, fields)
