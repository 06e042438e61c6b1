"""When a failed step is tried again, and after how long."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from flows.engine.document import Retry
from flows.engine.failures import Failure
from flows.engine.frames import Task

DEFAULT_RETRY_ON = frozenset({"rate_limit", "timeout", "unavailable", "invalid_output"})
"""The error classes that are tried again where a step's `retry` names none."""


def policies_of(task: Task) -> list[Retry]:
    """The retry policies that a failure of the step meets: its own, then those of the containers that it fails, or whose item it
    fails, from the innermost. Who stands around an error edge, `on_error: continue` or a map that collects never hears of it."""
    found = [task.node.retry]
    while not _is_handled(task):
        owner = task.frame.owner
        if owner is None or task.frame.handles is not None:
            break
        found.append(owner.node.retry)
        if owner.container is not None and owner.container.collects:
            break
        task = owner
    return found


def _is_handled(task: Task) -> bool:
    return "error" in task.node.outgoing or task.node.on_error == "continue"


def delay_after(policies: Sequence[Retry], n: int, failure: Failure, lot: str) -> float | None:
    """Seconds from the failed attempt `n` of a step to its next, None where there is none.

    A container is tried again in the steps that failed inside it: each of its tries gives them all the attempts of the policies
    inside. The back-off is that of the policy that grants the attempt, spread by up to a fifth so that many runs that failed
    together do not come back together, and never shorter than the other side asked. `lot` decides the spread: always alike for
    one attempt of one step.
    """
    if n >= math.prod(policy.attempts for policy in policies):
        return None
    inside = 1  # attempts that make one try of this policy
    for policy in policies:
        tried = (math.ceil(n / inside) - 1) % policy.attempts + 1
        if tried < policy.attempts and failure.slug in (policy.on or DEFAULT_RETRY_ON):
            digest = hashlib.blake2s(lot.encode(), digest_size=4).digest()
            spread = 0.8 + 0.4 * int.from_bytes(digest, "big") / 0xFFFFFFFF
            return max(policy.delay(tried) * spread, failure.retry_after or 0.0)
        inside *= policy.attempts
    return None
