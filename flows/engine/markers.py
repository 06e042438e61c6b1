"""How a kind marks the fields of its settings: which are templates, which are bare expressions.

    class SetSettings(Settings):
        values: dict[str, TemplateValue] = {}

`Node.render` fills in the templates; bare expressions are left as text (`parse_expression` of the same text is cached).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal


class Templated:
    """The field's texts may hold `{{ … }}`, at any depth."""


class Bare:
    """The field is one expression without braces."""


TemplateText = Annotated[str, Templated()]
TemplateValue = Annotated[Any, Templated()]
ExpressionText = Annotated[str, Bare()]


class Refers:
    """The text names something: a `route`, a `tool`, a `flow`, a `base`, a `person`, a `team`, a `policy`, or a `tool step` beside this
    one. Editors offer what there is."""

    def __init__(self, to: str) -> None:
        self.to = to


class ArgumentsOf:
    """The object holds what the tool or the flow is given that another field of the settings names."""

    def __init__(self, field: Literal["tool", "flow"]) -> None:
        self.field: Literal["tool", "flow"] = field
