"""Keeps the secrets of this process's environment out of everything that is stored, logged or shown.

A secret is the value of a variable whose name says so (``OPENAI_API_KEY``, ``CRM_TOKEN``), and of any that was read with
`secret_named`. It is looked for as it is, and as base64 and URL encoding write it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from urllib.parse import quote, quote_plus

REMOVED = "[removed]"
SHORTEST = 8  # characters; what is shorter would be found in innocent text
_NAMES = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$")

_needles: tuple[str, ...] | None = None
_known: set[str] = set()


def secret_named(variable: str) -> str:
    """The value of this environment variable, which from now on is a secret; empty where it is not set."""
    return kept_secret(os.environ.get(variable, "").strip())


def kept_secret(value: str) -> str:
    """The value, which from now on is a secret."""
    _remember(value)
    return value


def redacted(text: str) -> str:
    """The text without any secret that this process knows. Where it knows none, as it is."""
    for needle in _needles if _needles is not None else _begin():
        if needle in text:
            text = text.replace(needle, REMOVED)
    return text


class RedactingFilter(logging.Filter):
    """Takes secrets out of log lines, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redacted(record.exc_text)
        return True


def _begin() -> tuple[str, ...]:
    for name, value in list(os.environ.items()):
        if _NAMES.search(name.upper()):
            _remember(value.strip())
    if _needles is None:
        _remember("")
    return _needles or ()


def _remember(value: str) -> None:
    global _needles
    if value in _known or (len(value) < SHORTEST and _needles is not None):
        return
    if len(value) >= SHORTEST:
        _known.add(value)
    forms = {form for secret in _known for form in _forms(secret)}
    _needles = tuple(sorted(forms, key=len, reverse=True))  # the longest first: one may be part of another


def _forms(secret: str) -> set[str]:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    urlsafe = base64.urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), quote_plus(secret), encoded, urlsafe, json.dumps(secret)[1:-1]}
