"""A command made of verbs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from ninja import Schema

from orchestrator.management.speaking import actor_named, spoken_refusals


class VerbCommand(BaseCommand):
    """A command that has a method `do_<verb>` for each of its verbs, called with who acts and the verb's own arguments.

    Every verb takes `--as`: the person that does it. A refusal ends the command with exit code 1 and one line a problem.
    """

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        self._verbs = parser.add_subparsers(dest="verb", required=True)
        self.add_verbs()
        self._verbs.metavar = "|".join(self._verbs.choices)

    def add_verbs(self) -> None:
        """Adds each verb by `verb`."""
        raise NotImplementedError

    def verb(self, name: str, words: str, *, by_person: bool = False, shows: bool = False) -> CommandParser:
        """The parser of a new verb. One `by_person` needs somebody named; one that `shows` takes `--json`."""
        parser: CommandParser = self._verbs.add_parser(name, help=words)
        who = "the person that does it" if by_person else "the person that does it; without it, the command line"
        parser.add_argument("--as", dest="acting", metavar="USERNAME", required=by_person, help=who)
        if shows:
            parser.add_argument("--json", action="store_true", help="as the API answers it")
        return parser

    def handle(self, *args: Any, verb: str, acting: str | None, **options: Any) -> None:
        with spoken_refusals():
            getattr(self, f"do_{verb.replace('-', '_')}")(actor_named(acting), **options)

    def write_json(self, shape: type[Schema], value: Any) -> None:
        """Prints what the API would answer."""
        self.stdout.write(shape.model_validate(value).model_dump_json(indent=2))
