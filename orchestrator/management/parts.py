"""Entries of the catalogue that a command reads from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from flows.access.refusals import Fault, Invalid
from flows.engine.explaining import model_problems
from flows.engine.yamltext import parse_yaml
from orchestrator.management.speaking import text_of

Part = TypeVar("Part", bound=BaseModel)


def part_in(file: Path, kind: type[Part], what: str) -> Part:
    """The entry that a file says (YAML or JSON). Raises `CommandError`, `DocumentError` with line and column, and `Invalid` naming each
    field."""
    try:
        return kind.model_validate(parse_yaml(text_of(file)).value)
    except ValidationError as error:
        faults = [Fault(each.path, each.message, each.mend) for each in model_problems(error, kind, {})]
        raise Invalid(f"{file} is no {what}.", problems=faults) from None
