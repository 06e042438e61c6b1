"""Sign-in attempts are counted, so that nobody can try passwords at length.

Counted in Redis, which may forget: an attacker gains a few attempts. While it does not answer, each process counts by itself.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from threading import Lock

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from flows.access.refusals import TooManyAttempts

WINDOW = 15 * 60  # seconds
PER_PERSON_AND_ADDRESS = 8
PER_PERSON = 60  # from all addresses together: slows a distributed search without locking the person out at once
PER_ADDRESS = 100
REMEMBERED_HERE = 10_000  # counters that one process keeps while Redis is away

_here: dict[str, tuple[int, float]] = {}
_lock = Lock()
_client: redis.Redis | None = None


def count_attempt(username: str, address: str) -> None:
    """Counts one attempt before its password is looked at. Raises `TooManyAttempts` once a limit is passed."""
    for name, most in _counters(username, address):
        count, seconds = _raise_by_one(name)
        if count > most:
            raise TooManyAttempts(max(1, seconds))


def forget_attempts(username: str, address: str) -> None:
    """After a good sign-in the person's own counter from this address begins anew."""
    name = _counters(username, address)[0][0]
    with _lock:
        _here.pop(name, None)
    with suppress(redis.RedisError):
        client().delete(name)


def _counters(username: str, address: str) -> list[tuple[str, int]]:
    person = hashlib.sha256(username.strip().lower().encode("utf-8", "replace")).hexdigest()[:32]
    place = hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()[:32]
    return [
        (f"signin:{person}:{place}", PER_PERSON_AND_ADDRESS),
        (f"signin:person:{person}", PER_PERSON),
        (f"signin:address:{place}", PER_ADDRESS),
    ]


def _raise_by_one(name: str) -> tuple[int, int]:
    """The counter after this attempt, and the seconds until it begins anew."""
    try:
        with client().pipeline() as pipe:
            pipe.set(name, 0, ex=WINDOW, nx=True)
            pipe.incr(name)
            pipe.ttl(name)
            _, count, seconds = pipe.execute()
        return int(count), int(seconds)
    except redis.RedisError:
        return _raise_here(name)


def _raise_here(name: str) -> tuple[int, int]:
    now = time.monotonic()
    with _lock:
        if len(_here) >= REMEMBERED_HERE:
            for old in [key for key, (_, until) in _here.items() if until <= now] or list(_here)[: REMEMBERED_HERE // 2]:
                del _here[old]
        count, until = _here.get(name, (0, 0.0))
        if until <= now:
            count, until = 0, now + WINDOW
        _here[name] = (count + 1, until)
        return count + 1, int(until - now) + 1


def client() -> redis.Redis:
    global _client
    if _client is None:
        never = Retry(NoBackoff(), 0)  # redis-py's own default tries for seconds
        _client = redis.Redis.from_url(settings.REDIS_ADDRESS, socket_timeout=1.0, socket_connect_timeout=1.0, retry=never)
    return _client
