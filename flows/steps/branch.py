"""Chooses a port: that of the first case whose expression is true, else the port of `else`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from flows.engine.expressions import ExpressionError, parse_expression
from flows.engine.failures import ExpressionFailed
from flows.engine.kinds import Done, PureKind, Settings
from flows.engine.markers import ExpressionText


class Case(BaseModel):
    """Leave by `port` when the expression `when` is true."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: str
    when: ExpressionText


class BranchSettings(Settings):
    """The cases are tried in order."""

    cases: list[Case] = Field(min_length=1, max_length=100)
    else_: str = Field(default="else", alias="else")


class BranchKind(PureKind):
    slug = "branch"
    label = "Branch"
    icon = "branch"
    begins_with = {"cases": [{"port": "yes", "when": ""}], "else": "no"}
    ports_from = {"from": "with.cases[].port", "plus": ["with.else"], "or": ["else"]}
    Settings = BranchSettings

    def ports(self, settings: BranchSettings) -> frozenset[str]:
        return frozenset([*(case.port for case in settings.cases), settings.else_])

    def output_schema(self, settings: BranchSettings) -> Mapping[str, Any]:
        return {"type": "string", "enum": sorted(self.ports(settings))}

    def evaluate(self, settings: BranchSettings, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Done:
        for index, case in enumerate(settings.cases):
            try:
                chosen = parse_expression(case.when).evaluate(names)
            except ExpressionError as error:
                raise ExpressionFailed(f"cases[{index}].when: {error.message}") from error
            if chosen:
                return Done(case.port, case.port)
        return Done(settings.else_, settings.else_)
