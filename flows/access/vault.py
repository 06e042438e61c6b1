"""Encryption of secrets at rest: AES-256-GCM (NIST SP 800-38D) under keys that are derived from the installation's signing keys.

The key is derived by HKDF (RFC 5869) from ``SECRET_KEY``; values that were sealed under one of ``SECRET_KEY_FALLBACKS`` can still be
read, and are sealed anew under the first by `reseal`. A sealed value is bound to its name: moved to another it cannot
be read.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

NONCE = 12


class Unreadable(Exception):
    """The secret was sealed under a key that this installation does not have."""


def seal(name: str, value: str) -> tuple[str, str]:
    """The sealed value, and the identifier of the key."""
    key_id, key = _keys(_signing_keys())[0]
    nonce = os.urandom(NONCE)
    sealed = nonce + AESGCM(key).encrypt(nonce, value.encode(), name.encode())
    return base64.b64encode(sealed).decode(), key_id


def unseal(name: str, sealed: str, key_id: str) -> str:
    """The value. Raises `Unreadable`."""
    raw = base64.b64decode(sealed)
    for known, key in _keys(_signing_keys()):
        if known == key_id:
            try:
                return AESGCM(key).decrypt(raw[:NONCE], raw[NONCE:], name.encode()).decode()
            except InvalidTag:
                break
    raise Unreadable(f"The secret {name} cannot be read: it was sealed under a key that is not among this installation's.")


def fingerprint(value: str) -> str:
    """Tells two values apart: keyed, so that nobody can try values against it."""
    _, key = _keys(_signing_keys())[0]
    return hashlib.blake2s(value.encode(), key=key, digest_size=4).hexdigest()


def _signing_keys() -> tuple[str, ...]:
    return (settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _keys(signing: tuple[str, ...]) -> tuple[tuple[str, bytes], ...]:
    """Identifier and key of each signing key, the one that seals first."""
    derived = [HKDF(hashes.SHA256(), 32, None, b"orchestrator secrets").derive(each.encode()) for each in signing]
    return tuple((hashlib.sha256(key).hexdigest()[:16], key) for key in derived)
