"""Why a verb did nothing. The docstring of each is the sentence that a person reads where no better one is given.

`status` is the HTTP status that says the same, `slug` names the refusal in answers of the API.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with what was given: where it stands, what is wrong, and how to mend it."""

    place: str
    message: str
    mend: str = ""


class Refusal(Exception):
    """This cannot be done."""

    status = 400
    slug = "refused"
    recorded = False  # whether the verb itself has written it into the audit log, so that the door need not

    def __init__(self, message: str = "", *, problems: Iterable[Fault] = ()) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.problems = tuple(problems)
        lines = [": ".join(part for part in (fault.place, fault.message, fault.mend) if part) for fault in self.problems]
        super().__init__("\n".join([self.message, *lines]))

    def facts(self) -> dict[str, Any]:
        """What a program may want to know beside the sentence."""
        return {}


class NotSignedIn(Refusal):
    """Sign in, or send an API key as `Authorization: Bearer …`."""

    status = 401
    slug = "not-signed-in"


class Forbidden(Refusal):
    """The right to do this is missing."""

    status = 403
    slug = "forbidden"

    def __init__(self, right: str, message: str = "") -> None:
        self.right = str(right)
        super().__init__(message or f"This needs the right {self.right!r}. An owner can grant it.")

    def facts(self) -> dict[str, Any]:
        return {"right": self.right}


class NotFound(Refusal):
    """There is no such thing, or you may not see it."""

    status = 404
    slug = "not-found"

    def __init__(self, what: str = "") -> None:
        super().__init__(f"There is no {what}, or you may not see it." if what else "")


class Invalid(Refusal):
    """What was sent cannot be used; `problems` says where and how to mend it. Nothing was changed."""

    status = 422
    slug = "invalid"


class Conflict(Refusal):
    """Something else happened first; nothing was changed."""

    status = 409
    slug = "conflict"


class TooLarge(Refusal):
    """The request is larger than this installation takes."""

    status = 413
    slug = "too-large"


class TooManyAttempts(Refusal):
    """Too many attempts. Wait a while and try again."""

    status = 429
    slug = "too-many-attempts"

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        super().__init__(f"Too many attempts. Try again in {seconds} s.")

    def facts(self) -> dict[str, Any]:
        return {"retry_after": self.seconds}
