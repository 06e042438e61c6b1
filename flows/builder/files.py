"""Files that are compared with a flow without becoming its draft: kept in Redis for a week, so that the address of a comparison opens the
same pair again, for whoever may see the flow."""

from __future__ import annotations

import hashlib

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from flows.access.refusals import Fault, Invalid
from flows.models import Flow

PREFIX = "file_"
KEPT = 7 * 24 * 3600  # seconds


def keep_file(flow: Flow, text: str) -> str:
    """Keeps a text for comparisons with this flow; gives the name that stands for it in addresses. Raises `Invalid` where it cannot be
    kept."""
    name = PREFIX + hashlib.sha256(text.encode()).hexdigest()[:24]
    try:
        _client().set(_key(flow, name), text, ex=KEPT)
    except redis.RedisError:
        fault = Fault("", "cannot be kept, for Redis does not answer", "Try again in a moment.")
        raise Invalid("The file is not compared.", problems=[fault]) from None
    return name


def file_named(flow: Flow, name: str) -> str | None:
    """The text that was kept by this name; None where it is not, or no longer, kept."""
    try:
        found = _client().get(_key(flow, name))
    except redis.RedisError:
        return None
    return found.decode() if isinstance(found, bytes) else None


def _key(flow: Flow, name: str) -> str:
    return f"compared:{flow.id}:{name[: len(PREFIX) + 24]}"


def _client() -> redis.Redis:
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(settings.REDIS_ADDRESS, retry=once, socket_timeout=2.0, socket_connect_timeout=2.0)
