"""What an export leaves out of what it writes: whatever is, or by its name would be, a secret."""

from __future__ import annotations

import re
from typing import Any

from flows.access.audit import REMOVED, names_a_secret
from flows.access.keys import KEY_PATTERN
from flows.access.redaction import redacted

NAMES = frozenset({"api_key_env", "api_key_secret", "secret", "header_env", "header_secret", "env", "env_secret"})
"""Fields of an entry of the catalogue that hold names of secrets, or of the variables that hold them."""

_LOGIN = re.compile(r"(?<=://)[^/?#@\s]+(?=@)")
_QUERY = re.compile(r"(?<=[?&])([^=&#\s]+)=([^&#\s]+)")


def without_secrets(value: Any) -> Any:
    """The same value with `REMOVED` where a secret stands, or a text under a name such as ``Authorization`` or ``api_key``."""
    if isinstance(value, dict):
        return {
            key: REMOVED if isinstance(item, str) and item and names_a_secret(str(key)) else without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return text_without_secrets(_address(value)) if isinstance(value, str) else value


def entry_without_secrets(entry: Any) -> Any:
    """The same of an entry of the catalogue, which keeps the names that it says."""
    if not isinstance(entry, dict):
        return without_secrets(entry)
    return without_secrets(entry) | {name: entry[name] for name in NAMES & entry.keys()}


def text_without_secrets(text: str) -> str:
    """The text without the secrets that this process knows, and without keys of our own."""
    return KEY_PATTERN.sub(REMOVED, redacted(text))


def is_incomplete(text: str) -> bool:
    """Whether something was left out of what an export wrote."""
    return REMOVED in text


def _address(text: str) -> str:
    """An address without the name and password in it, and without what its query says under a secret's name."""
    if "://" not in text:
        return text
    return _QUERY.sub(lambda found: f"{found[1]}={REMOVED}" if names_a_secret(found[1]) else found[0], _LOGIN.sub(REMOVED, text))
