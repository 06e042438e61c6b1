"""What a policy says: on what it asks, who decides, how, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from flows.access.refusals import Fault, Invalid
from flows.engine.durations import Duration
from flows.engine.expressions import ExpressionError, parse_expression

NAMES = frozenset({"payload", "flow", "tool"})
"""What the expressions of a policy may look up: what is decided on, the flow's name in addresses, the sealed tool's."""

LONGEST_EXPRESSION = 2000


class Rung(BaseModel):
    """One rung of the ladder: what happens so long after the request was asked, while it is open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Duration
    act: Literal["remind", "escalate", "reject"]  # a time-out never approves
    people: list[str] = Field(default_factory=list, max_length=50)
    teams: list[str] = Field(default_factory=list, max_length=50)


class PolicySettings(BaseModel):
    """`tools` and `flows` are patterns (``refunds.*``) of what it applies to by itself, where a step names no policy; a step that
    names it needs no pattern. Where `when` does not hold, nobody is asked.

    `chosen_by` may name who decides, as usernames or teams' slugs; where it names nobody, `people` and `teams` decide.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field("", max_length=500)
    tools: list[str] = Field(default_factory=list, max_length=50)
    flows: list[str] = Field(default_factory=list, max_length=50)
    when: str = Field("", max_length=LONGEST_EXPRESSION)
    people: list[str] = Field(default_factory=list, max_length=100)
    teams: list[str] = Field(default_factory=list, max_length=50)
    chosen_by: str = Field("", max_length=LONGEST_EXPRESSION)
    quorum: int = Field(1, ge=1, le=100)
    each_team: bool = False  # of every team that is named one vote at least
    veto: bool = True  # one rejection ends it; else as many reject as must approve
    reason: Literal["never", "reject", "always"] = "never"  # which decisions need a comment
    editable: list[str] | None = None  # of the fields that a step lets people edit, only these
    risk: Literal["low", "medium", "high"] = "medium"
    bulk: bool = False
    confirm: str = Field("", max_length=120)  # the field whose value must be typed in order to approve
    channels: list[str] = Field(default_factory=list, max_length=20)  # the names of those that hear of its requests; none: all do
    ladder: list[Rung] = Field(default_factory=list, max_length=10)

    @field_validator("people", "teams", "tools", "flows", "channels")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        return list(dict.fromkeys(name.strip() for name in names if name.strip()))

    def applies_to(self, tool: str | None, flow: str) -> bool:
        """Whether its patterns match; one without patterns applies only where a step names it."""
        if not self.tools and not self.flows:
            return False
        by_tool = not self.tools or (tool is not None and any(fnmatchcase(tool, each) for each in self.tools))
        return by_tool and (not self.flows or any(fnmatchcase(flow, each) for each in self.flows))


def read_settings(rules: Any) -> PolicySettings:
    """The settings of a JSON value. Raises `Invalid` naming each field that is wrong, the term of an expression included."""
    try:
        settings = PolicySettings.model_validate(rules)
    except ValidationError as error:
        faults = [Fault(".".join(str(each) for each in one["loc"]) or "rules", _said(one)) for one in error.errors()]
        raise Invalid("The policy cannot be used.", problems=faults) from None
    problems = list(_faults(settings))
    if problems:
        raise Invalid("The policy cannot be used.", problems=problems)
    return settings


def _said(error: Any) -> str:
    message = str(error["msg"])
    return message[:1].lower() + message[1:]


def _faults(settings: PolicySettings) -> Iterable[Fault]:
    for name in ("when", "chosen_by"):
        yield from _expression_faults(name, getattr(settings, name))
    if not settings.people and not settings.teams:
        yield Fault("people", "nobody is named who may decide", "Name people or teams.")
    if settings.each_team and settings.quorum < len(settings.teams):
        yield Fault("quorum", f"{settings.quorum} votes cannot come from {len(settings.teams)} teams", "Ask for more votes.")
    if settings.bulk and settings.risk == "high":
        yield Fault("bulk", "what is of high risk is never decided many at once", "Switch it off, or lower the risk.")
    before = 0.0
    for at, rung in enumerate(settings.ladder):
        if rung.after.seconds <= before:
            yield Fault(f"ladder.{at}.after", "does not come after the rung before", "Put the rungs in order of time.")
        before = rung.after.seconds
        if rung.act == "reject" and at != len(settings.ladder) - 1:
            yield Fault(f"ladder.{at}.act", "nothing can follow a rejection", "Put it last.")
        if rung.act == "escalate" and not rung.people and not rung.teams:
            yield Fault(f"ladder.{at}", "it says not to whom", "Name people or teams.")


def _expression_faults(name: str, source: str) -> Iterable[Fault]:
    if not source.strip():
        return
    try:
        references = parse_expression(source).references
    except ExpressionError as error:
        yield Fault(name, str(error), "Write it like: payload.amount > 250")
        return
    for path in references:
        if path[0] not in NAMES:
            yield Fault(name, f"`{path[0]}` is not known here", f"It may use {', '.join(sorted(NAMES))}.")
