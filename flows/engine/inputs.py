"""Whether a run's input is what its flow asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.engine.document import FlowDocument
from flows.engine.problems import Problem
from flows.engine.schemas import value_problems


def input_problems(value: Any, schema: Mapping[str, Any] | None) -> list[Problem]:
    """What is wrong with a run's input, each with its place (`input.amount`); nothing for a flow without an input schema."""
    return [] if schema is None else value_problems(value, schema, "input")


def check_input(document: FlowDocument, value: Any) -> list[Problem]:
    """The same for the input of a document's flow."""
    return input_problems(value, document.input)
