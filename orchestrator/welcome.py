"""The token of the first run: whoever can read this machine's terminal, and nobody else, makes the first owner.

`up` makes one where nobody can sign in yet and prints it; only its hash is stored, in the data folder. It opens `/welcome` once.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from hmac import compare_digest
from pathlib import Path

from django.conf import settings


def token_file() -> Path:
    return Path(settings.DATA_DIR) / "welcome-token"


def make_token() -> str:
    """A fresh token, to be printed once; one that was printed before is void."""
    token = secrets.token_urlsafe(18)
    file = token_file()
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
        stream.write(_digest(token))
    draft.replace(file)
    return token


def is_token(text: str) -> bool:
    """Whether this is the token that was printed last."""
    try:
        stored = token_file().read_text(encoding="ascii")
    except OSError:
        return False
    return compare_digest(stored, _digest(text.strip()))


def void_token() -> None:
    """There is an owner now: nothing opens `/welcome` any more."""
    token_file().unlink(missing_ok=True)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
