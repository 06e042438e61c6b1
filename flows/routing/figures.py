"""How models do: what the ledger says of their newest calls, and how they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone
from redis.backoff import NoBackoff
from redis.retry import Retry

from flows.models import Call
from flows.routing.breaker import Standing, loaded
from flows.routing.health import key_of

DAYS = 7
NEWEST: Final = 500  # calls of a model that its figures are made of

FIGURES: Final = """
SELECT m.slug, count(c.status), count(c.status) FILTER (WHERE c.status IN ('failed_retryable', 'failed_final', 'unknown')),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY c.seconds) FILTER (WHERE c.status = 'succeeded'),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY c.seconds) FILTER (WHERE c.status = 'succeeded')
FROM flows_modelentry m LEFT JOIN LATERAL (
    SELECT status, extract(epoch FROM ended_at - started_at) AS seconds FROM flows_call
    WHERE kind = 'model' AND target = m.slug AND started_at > %s AND ended_at IS NOT NULL AND NOT cached
    ORDER BY id DESC LIMIT %s
) c ON true GROUP BY m.slug
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a model's newest calls within a week: how many, how many failed, and seconds that an answer took."""

    calls: int = 0
    failed: int = 0
    median: float | None = None
    p95: float | None = None

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.calls if self.calls else None


def figures_by_model() -> dict[str, Figures]:
    """One query, whose cost does not grow with the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, [timezone.now() - timedelta(days=DAYS), NEWEST])
        return {row[0]: Figures(row[1], row[2], _seconds(row[3]), _seconds(row[4])) for row in cursor.fetchall()}


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def standings(slugs: Iterable[str]) -> dict[str, Standing] | None:
    """How these models stand, where anything is known of them; None where Redis does not answer."""
    wanted = list(slugs)
    once = Retry(NoBackoff(), 0)
    try:
        with redis.Redis.from_url(settings.REDIS_ADDRESS, socket_timeout=1.0, socket_connect_timeout=1.0, retry=once) as store:
            texts: list[Any] = store.mget([key_of(slug) for slug in wanted]) if wanted else []
    except redis.RedisError:
        return None
    return {slug: loaded(text) for slug, text in zip(wanted, texts, strict=True) if text is not None}


@dataclass(frozen=True, slots=True)
class Share:
    """What one model had of a route's calls within a week: `part` of them, 0 to 1."""

    calls: int
    failed: int
    cached: int
    part: float


def shares_of(route: str, models: Iterable[str]) -> Mapping[str, Share]:
    """By model: one query over the calls of these models."""
    failed = Q(status__in=["failed_retryable", "failed_final", "unknown"])
    rows = list(
        Call.objects.filter(
            kind="model", target__in=list(models), route=route, started_at__gt=timezone.now() - timedelta(days=DAYS)
        )
        .values_list("target")
        .annotate(n=Count("id"), failed=Count("id", filter=failed), cached=Count("id", filter=Q(cached=True)))
    )
    total = sum(row[1] for row in rows)
    return {target: Share(n, bad, used, n / total) for target, n, bad, used in rows}
