"""Which fact a failed call is: judged by what went over the wire, and only then by what a library made of it."""

from __future__ import annotations

from collections.abc import Iterator

from flows.access.egress import ConnectTimeout, Exchange, HTTPTimeout, TooLarge
from flows.access.waits import retry_after
from flows.engine.failures import BadKey, BadRequest, ContextTooLong, Failure, RateLimited, Refused, TimedOut, Unavailable
from flows.routing.providers.cleaning import cleaned

TOO_LONG = ("context_length_exceeded", "maximum context length", "context window", "prompt is too long", "too many tokens")
DECLINED = ("content_policy", "content_filter", "content management policy", "safety system")


def failure_of(
    error: BaseException, exchange: Exchange, name: str, *secrets: str, outside: BaseException | None = None
) -> Failure:
    """The failure that this error is. `name` is the model's, `secrets` are removed from the message.

    `outside` is the error, if any, that the caller was already handling: it is no part of this one's story.
    """
    if exchange.refused is not None:
        return exchange.refused
    chain = tuple(_chain(error, outside))
    for known in chain:
        if isinstance(known, Failure) and (exchange.status or 0) < 300:
            return known
    if exchange.status is None:
        return _unanswered(chain, exchange, name, secrets)
    said = cleaned(_said(chain), *secrets)
    failure = _answered(chain, exchange, name, said)
    failure.answered = exchange.status >= 300
    return failure


def _unanswered(chain: tuple[BaseException, ...], exchange: Exchange, name: str, secrets: tuple[str, ...]) -> Failure:
    if not exchange.requests:  # nothing ever left: what was asked makes no sense to the library
        return BadRequest(f"{name}: {cleaned(_said(chain), *secrets)}")
    if not exchange.sent:
        if any(isinstance(known, ConnectTimeout) for known in chain):
            return Unavailable(f"{name} could not be reached in time.")
        return Unavailable(f"{name} cannot be reached.")
    if any(isinstance(known, HTTPTimeout) for known in chain):
        return TimedOut(f"{name} did not answer in time.", sent=True)
    return Unavailable(f"{name} broke the connection before it answered.", sent=True)


def _answered(chain: tuple[BaseException, ...], exchange: Exchange, name: str, said: str) -> Failure:
    status = exchange.status or 0
    wait = retry_after(exchange.headers)
    message = f"{name} answered {status}: {said}" if said else f"{name} answered {status}."
    if status < 300:
        if any(isinstance(known, TooLarge) for known in chain):
            return Unavailable(f"{name} answered more than is taken.", sent=True)
        if "html" in exchange.headers.get("content-type", ""):
            return Unavailable(f"{name} answered with a web page.", sent=True)
        if any(isinstance(known, HTTPTimeout) for known in chain):
            return TimedOut(f"{name} stopped in the middle of its answer.", sent=True)
        reason = f" ({said})" if said and not exchange.complete else f": {said}" if said else ""
        return Unavailable(f"{name} broke off its answer{reason}.", sent=True)
    if status in (401, 403):
        return BadKey(message, sent=True)
    if status == 429:
        return RateLimited(message, sent=True, retry_after=wait)
    if status == 408:
        return TimedOut(message, sent=True, retry_after=wait)
    if status >= 500 or status in (409, 423, 425):
        return Unavailable(message, sent=True, retry_after=wait)
    lowered = f"{said} {_codes(chain)}".lower()
    if status == 413 or any(sign in lowered for sign in TOO_LONG):
        return ContextTooLong(message, sent=True)
    if any(sign in lowered for sign in DECLINED):
        return Refused(message, sent=True)
    return BadRequest(message, sent=True)


def _chain(error: BaseException | None, outside: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and error is not outside and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _said(chain: tuple[BaseException, ...]) -> str:
    """What the provider itself wrote, where it can be found; else what the outermost error says."""
    for known in reversed(chain):
        body = getattr(known, "body", None)
        if isinstance(body, dict):
            inner = body.get("error", body)
            message = inner.get("message") if isinstance(inner, dict) else inner
            if isinstance(message, str) and message:
                return message
    outermost = chain[0]
    return str(getattr(outermost, "message", "") or outermost)


def _codes(chain: tuple[BaseException, ...]) -> str:
    return " ".join(str(getattr(known, "code", "") or "") for known in chain)
