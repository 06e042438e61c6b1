"""The text of a call in progress, as far as it has come: for a page that is rendered while the model writes."""

from __future__ import annotations

from uuid import UUID

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from flows.execution.live import text_key

PATIENCE = 0.5  # seconds; a page does not wait long for what only shows sooner what will be stored


def text_so_far(call_id: UUID) -> str:
    """The text that has come, or nothing where Redis does not have it or does not answer."""
    client = redis.Redis.from_url(
        settings.REDIS_ADDRESS,
        decode_responses=True,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return str(client.get(text_key(call_id)) or "")
    except (redis.RedisError, OSError):
        return ""
    finally:
        client.close()
