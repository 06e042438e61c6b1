"""How the commands speak: who acts in them, and refusals as lines that name file, place and reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from flows.access.actor import Actor, system
from flows.access.installation import look_up
from flows.access.refusals import Fault, Refusal
from flows.costs.actions.import_prices import moment_of
from flows.engine.problems import DocumentError
from flows.models import Person

CLI = system("command line", door="cli")
"""Whoever may run commands on this machine may do everything."""


def actor_named(username: str | None) -> Actor:
    """The person of this name acting by command, or, without a name, the machine's own administrator."""
    return CLI if username is None else Actor(person=person_named(username), door="cli")


def person_named(username: str) -> Person:
    person = Person.objects.filter(username=username).first()
    if person is None:
        raise CommandError(f"There is no person {username!r}. Add one: python manage.py person create {username} --role viewer")
    return person


def json_given(text: str) -> Any:
    """The value of a JSON text. Raises `CommandError`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"This is no JSON: {error}") from None


def whole_given(option: str, text: str) -> int:
    """The number that an option says. Raises `CommandError`."""
    if not (text.isascii() and text.isdecimal()):
        raise CommandError(f"{option}: {text!r} is no whole number.")
    return int(text[:19])


def amount_given(option: str, text: str) -> Decimal:
    """The amount of money that an option says, with the currency's label or without. Raises `CommandError`."""
    try:
        return Decimal(look_up().without_currency(text))
    except InvalidOperation:
        raise CommandError(f"{option}: {text!r} is no amount. Write it like 120.00.") from None


def moment_given(option: str, text: str) -> datetime:
    """The time that an option says; a day is its first moment in UTC. Raises `CommandError`."""
    faults: list[Fault] = []
    moment = moment_of(option, text, faults)
    if moment is None:
        raise CommandError(f"{option}: {text!r} is no time. Write 2026-06-01, or 2026-06-01T12:00Z.")
    return moment


def text_given(text: str) -> str:
    """What an option says: the text itself or, of `@FILE`, what that file holds. Raises `CommandError`."""
    return text_of(Path(text[1:])) if text.startswith("@") else text


def text_of(file: Path) -> str:
    """What a file of UTF-8 text holds. Raises `CommandError`."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: is not UTF-8 text (byte {error.start})") from None


def at_site(path: str) -> str:
    """The address of a path of this installation, as people reach it from outside."""
    return f"{settings.SITE_URL.rstrip('/')}{path}"


@contextmanager
def spoken_refusals(about: str = "") -> Iterator[None]:
    """Refusals inside the block end the command with exit code 1 and one line a problem, each beginning with `about`."""
    try:
        yield
    except Refusal as refusal:
        lines = [_line(about, fault.place, fault.message, fault.mend) for fault in refusal.problems]
        raise CommandError("\n".join(lines or [_line(about, "", refusal.message, "")])) from None
    except DocumentError as error:
        raise CommandError("\n".join(document_lines(about, error.problems))) from None


def document_lines(about: str, problems: Iterable[object]) -> list[str]:
    return [f"{about}: {problem}" if about else str(problem) for problem in problems]


def _line(about: str, place: str, message: str, mend: str) -> str:
    text = ": ".join(part for part in (about, place, message) if part)
    return f"{text}. {mend}" if mend else text
