"""Personal data in texts: found by pattern, and by checksum where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args

from pydantic import Field

from flows.engine.functions import compile_pattern
from flows.steps.check.rules import Rule, text_of

Kind = Literal["email", "phone", "card", "iban", "ssn"]

PATTERNS: Final[Mapping[Kind, str]] = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "iban": r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
    "card": r"\b(?:[0-9][ -]?){12,18}[0-9]\b",
    "phone": r"(?:\+|\b00)[1-9](?:[ ./()-]{0,2}[0-9]){7,13}\b",
    "ssn": r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b",
}
"""In this order, so that the longer of two that overlap is found first. A phone number begins with its country's code."""


def found_in(text: str, kinds: tuple[Kind, ...]) -> Iterator[tuple[Kind, int, int]]:
    """Kind, beginning and end of each piece of personal data, none of which overlap."""
    taken: list[tuple[int, int]] = []
    for kind, pattern in PATTERNS.items():
        if kind not in kinds:
            continue
        for match in compile_pattern(pattern).finditer(text):
            start, end = match.span()
            if _holds(kind, match[0]) and not any(start < until and begun < end for begun, until in taken):
                taken.append((start, end))
                yield kind, start, end


def _holds(kind: Kind, text: str) -> bool:
    """Whether the checksum is right, where the kind has one."""
    if kind == "card":
        digits = [int(letter) for letter in reversed(text) if letter.isdigit()]
        return sum(digit if n % 2 == 0 else sum(divmod(digit * 2, 10)) for n, digit in enumerate(digits)) % 10 == 0
    if kind == "iban":
        plain = text.replace(" ", "")
        return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1
    return True


class PIIRule(Rule):
    """The text holds no personal data of these kinds. Fixed by putting the kind's name in its place: ``[email]``."""

    type: Literal["pii"]
    kinds: tuple[Kind, ...] = Field(default=get_args(Kind), min_length=1, strict=False)
    fixes_itself = True

    def findings(self, value: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Iterator[str]:
        counts: dict[Kind, int] = {}
        for kind, _, _ in found_in(text_of(value), self.kinds):
            counts[kind] = counts.get(kind, 0) + 1
        for kind, count in counts.items():  # never the data themselves: findings are kept and shown
            yield f"personal data: {count} × {kind}"

    def fixed(self, value: Any, rendered: Mapping[str, Any]) -> Any:
        if isinstance(value, str):
            for kind, start, end in sorted(found_in(value, self.kinds), key=lambda found: -found[1]):
                value = f"{value[:start]}[{kind}]{value[end:]}"
            return value
        if isinstance(value, list):
            return [self.fixed(each, rendered) for each in value]
        if isinstance(value, dict):
            return {key: self.fixed(each, rendered) for key, each in value.items()}
        return value
