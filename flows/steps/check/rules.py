"""The rules of a check that need nothing but the value: schema, pattern, length, texts, expression."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import re2
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from flows.engine.contradictions import PossibleSchema
from flows.engine.expressions import parse_expression
from flows.engine.functions import compile_pattern
from flows.engine.markers import ExpressionText, TemplateText
from flows.engine.schemas import value_problems
from flows.engine.values import MAX_TEXT, Frame, as_text
from flows.engine.values import Fault as ValueFault


class Rule(BaseModel):
    """One rule. `then` says what a finding leads to; `fix_with` is an expression of `value` that mends it, for `then: fix`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    then: Literal["fail", "ask", "fix", "stop"] = "fail"
    message: TemplateText | None = None
    fix_with: ExpressionText | None = None

    fixes_itself: ClassVar[bool] = False

    @model_validator(mode="after")
    def _can_fix(self) -> Rule:
        if self.then == "fix" and self.fix_with is None and not self.can_fix():
            raise PydanticCustomError("fix", "nothing says how to fix it; give `fix_with`, an expression of `value`")
        return self

    def can_fix(self) -> bool:
        """Whether the rule can mend a value by itself."""
        return self.fixes_itself

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with the value, in words. `rendered` are the rule's fields with templates filled in."""
        raise NotImplementedError

    def fixed(self, value: Any, rendered: Mapping[str, Any]) -> Any:
        """The value mended by the rule itself."""
        return value


class SchemaRule(Rule):
    """The value matches a JSON Schema. Fixed by reading a text as JSON."""

    type: Literal["schema"]
    schema_: PossibleSchema = Field(alias="schema")
    fixes_itself = True

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        for problem in value_problems(value, self.schema_, "value"):
            yield str(problem)

    def fixed(self, value: Any, rendered: Mapping[str, Any]) -> Any:
        if not isinstance(value, str):
            return value
        text = value.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
        try:
            return json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            return value


class RegexRule(Rule):
    """A pattern (RE2) is found in the text, or with `forbid` is not. Fixed, where forbidden, by `replace`."""

    type: Literal["regex"]
    pattern: str = Field(min_length=1, max_length=500)
    forbid: bool = Field(default=False, strict=True)
    replace: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _runs_on_re2(self) -> RegexRule:
        try:
            compile_pattern(self.pattern)
        except ValueFault as fault:
            raise PydanticCustomError("pattern", "{reason}", {"reason": str(fault)}) from None
        return self

    def can_fix(self) -> bool:
        return self.forbid

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        found = compile_pattern(self.pattern).search(text_of(value)) is not None
        if found and self.forbid:
            yield f"the text has what the pattern {self.pattern} forbids"
        elif not found and not self.forbid:
            yield f"the text does not match the pattern {self.pattern}"

    def fixed(self, value: Any, rendered: Mapping[str, Any]) -> Any:
        text = text_of(value)
        if len(text) * (1 + len(self.replace)) > MAX_TEXT * 4:
            return value
        try:
            return compile_pattern(self.pattern).sub(self.replace.replace("\\", "\\\\"), text)
        except re2.error:
            return value


class LengthRule(Rule):
    """A text has so many characters, a list or object so many items. Fixed by cutting to `max`."""

    type: Literal["length"]
    min: int = Field(default=0, ge=0, strict=True)
    max: int | None = Field(default=None, ge=0, strict=True)

    def can_fix(self) -> bool:
        return self.max is not None

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        if not isinstance(value, (str, list, dict)):
            yield "the value has no length"
            return
        unit = "characters" if isinstance(value, str) else "items"
        if len(value) < self.min:
            yield f"{len(value)} {unit} are fewer than {self.min}"
        if self.max is not None and len(value) > self.max:
            yield f"{len(value)} {unit} are more than {self.max}"

    def fixed(self, value: Any, rendered: Mapping[str, Any]) -> Any:
        return value[: self.max] if isinstance(value, (str, list)) else value


class ContainsRule(Rule):
    """The text (or list) has `all` of some texts, at least one of `any`, and none of `none`. Fixed by taking out `none`."""

    type: Literal["contains"]
    all_: list[TemplateText] = Field(default_factory=list, alias="all")
    any_: list[TemplateText] = Field(default_factory=list, alias="any")
    none: list[TemplateText] = Field(default_factory=list)
    ignore_case: bool = Field(default=False, strict=True)

    @model_validator(mode="after")
    def _something(self) -> ContainsRule:
        if not (self.all_ or self.any_ or self.none):
            raise PydanticCustomError("contains", "give `all`, `any` or `none`, each a list of texts")
        return self

    def can_fix(self) -> bool:
        return bool(self.none) and not self.ignore_case

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        for text in rendered["all_"]:
            if not self._has(value, text):
                yield f"`{text}` is missing"
        if rendered["any_"] and not any(self._has(value, text) for text in rendered["any_"]):
            yield f"none of {', '.join(f'`{text}`' for text in rendered['any_'])} is there"
        for text in rendered["none"]:
            if self._has(value, text):
                yield f"`{text}` must not be there"

    def fixed(self, value: Any, rendered: Mapping[str, Any]) -> Any:
        if isinstance(value, list):
            return [item for item in value if item not in rendered["none"]]
        if isinstance(value, str):
            for text in rendered["none"]:
                value = value.replace(text_of(text), "") if text else value
        return value

    def _has(self, value: Any, wanted: Any) -> bool:
        if isinstance(value, list):
            return wanted in value
        text, part = text_of(value), text_of(wanted)
        return part.lower() in text.lower() if self.ignore_case else part in text


class ExpressionRule(Rule):
    """An expression is true; `value` is the value that is checked."""

    type: Literal["expression"]
    expression: ExpressionText

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        if not parse_expression(self.expression).evaluate({**names, "value": value}):
            yield f"`{self.expression}` is not true"


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def text_of(value: Any) -> str:
    """The value as the rules about texts read it."""
    return as_text(value, Frame())
