"""When a failed step is tried again, and after how long."""

from __future__ import annotations

import hashlib

from flows.engine.document import Retry
from flows.engine.failures import Failure

DEFAULT_RETRY_ON = frozenset({"rate_limit", "timeout", "unavailable", "invalid_output"})
"""The error classes that are tried again where a step's `retry` names none."""


def is_tried_again(retry: Retry, n: int, failure: Failure) -> bool:
    """Whether the policy has another attempt after attempt `n`, which failed so."""
    return n < retry.attempts and failure.slug in (retry.on or DEFAULT_RETRY_ON)


def delay_after(retry: Retry, n: int, failure: Failure, lot: str) -> float:
    """Seconds from the failed attempt `n` to the next: the step's back-off, spread by up to a fifth so that many runs that failed
    together do not come back together, and never sooner than the other side asked. `lot` decides the spread: always alike for one
    attempt of one step."""
    digest = hashlib.blake2s(lot.encode(), digest_size=4).digest()
    spread = 0.8 + 0.4 * int.from_bytes(digest, "big") / 0xFFFFFFFF
    return max(retry.delay(n) * spread, failure.retry_after or 0.0)
