"""The facts that end an attempt. The docstring of each is the sentence that an operator reads.

`slug` is the error class of the flow document (`retry.on`, `fall_back_on`, `error.class`); `retryable` answers the engine's only
question; `sent` says whether the request may have reached the other side, which decides whether a write that may not be repeated
can be tried again; `answered` whether the other side said itself that it did not do it, so that nothing is owed; `fails_run` whether
the run fails by it, whatever the flow had planned for the step's failure.
"""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """The step could not be done."""

    slug = "internal"
    retryable = False
    answered = False
    fails_run = False

    def __init__(self, message: str = "", *, sent: bool = False, retry_after: float | None = None) -> None:
        self.message = message.encode("utf-8", "replace").decode() or (type(self).__doc__ or "").strip()  # no lone surrogates
        super().__init__(self.message)
        self.sent = sent
        self.retry_after = retry_after  # seconds that the other side asked us to wait


def error_of(failure: Failure) -> dict[str, Any]:
    """A failure as the journal keeps it and expressions see it."""
    facts: dict[str, Any] = {"class": failure.slug, "message": failure.message}
    return facts | {"fails_run": True} if failure.fails_run else facts


class RateLimited(Failure):
    """The service asked us to slow down."""

    slug = "rate_limit"
    retryable = True


class TimedOut(Failure):
    """No complete answer came in time."""

    slug = "timeout"
    retryable = True


class Unavailable(Failure):
    """The service is down or cannot be reached."""

    slug = "unavailable"
    retryable = True


class ContextTooLong(Failure):
    """The request is longer than the model can read."""

    slug = "context_too_long"


class Refused(Failure):
    """The service declined to answer this request."""

    slug = "refused"


class InvalidOutput(Failure):
    """The answer is not of the form that the step asks for."""

    slug = "invalid_output"
    retryable = True


class BadRequest(Failure):
    """The service says that the request is wrong."""

    slug = "bad_request"


class BadKey(Failure):
    """The service does not accept our key, or there is none."""

    slug = "bad_key"


class UnknownOutcome(Failure):
    """The request was sent and nothing is known of what became of it."""

    slug = "unknown_outcome"

    def __init__(self, message: str = "", *, looking: Failure | None = None) -> None:
        super().__init__(message, sent=True)
        self.looking = looking  # why looking up what became of it failed, which may be tried again


class ExpressionFailed(Failure):
    """An expression of the step could not be evaluated."""

    slug = "expression"


class InvalidInput(Failure):
    """What was given does not match its schema."""

    slug = "invalid_input"


class CheckFailed(Failure):
    """The value did not pass the check."""

    slug = "check_failed"


class CheckStopped(CheckFailed):
    """A check found a fault that stops the run."""

    fails_run = True


class RoundsSpent(Failure):
    """The loop has had all its rounds, and what it was to reach is not reached."""

    slug = "limit"


class AgentStopped(Failure):
    """The agent reached one of its bounds before it had an answer."""

    slug = "limit"


class BudgetSpent(Failure):
    """A limit leaves no room for the next call."""

    slug = "budget"


class Supposed(Failure):
    """The step is supposed to have failed, so that what handles it can be tried."""

    fails_run = True

    def __init__(self, slug: str, message: str) -> None:
        super().__init__(message)
        self.slug = slug


class TooDear(BudgetSpent):
    """A limit has no room for this candidate; a cheaper one may fit."""

    def __init__(self, message: str = "", *, limit: str = "cost") -> None:
        super().__init__(message)
        self.limit = limit  # the reason of the run's end where nothing cheaper fits


class BoundReached(BudgetSpent):
    """A limit of the agent has no room for this call. The agent, not the run, has come to its end."""

    def __init__(self, message: str = "", *, which: str = "cost") -> None:
        super().__init__(message)
        self.which = which  # cost | tokens


class ArgumentsChanged(Failure):
    """What would be sent again is not what was sent at first under the same key."""

    slug = "arguments_changed"


class SealBroken(Failure):
    """What would be sent is not what was approved."""

    slug = "seal_broken"


class StepDied(Failure):
    """The worker died too often while it ran this step."""

    slug = "worker_died"


RETRYABLE_SLUGS = (
    "rate_limit",
    "timeout",
    "unavailable",
    "context_too_long",
    "refused",
    "invalid_output",
    "bad_request",
    "bad_key",
    "unknown_outcome",
)
"""The error classes that `retry.on` and `fall_back_on` may name."""
