"""How models do: what the ledger says of their newest calls, and how they stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import redis
from django.conf import settings
from django.db import connection
from django.db.models import Count, Func, Q, Value
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
    percentile_cont(0.95) WITHIN GROUP (ORDER BY c.seconds) FILTER (WHERE c.status = 'succeeded'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY c.first_text) FILTER (WHERE c.status = 'succeeded')
FROM flows_modelentry m LEFT JOIN LATERAL (
    SELECT status, extract(epoch FROM ended_at - started_at) AS seconds, first_text FROM flows_call
    WHERE kind = 'model' AND target = m.slug AND started_at > %s AND ended_at IS NOT NULL AND NOT cached
    ORDER BY id DESC LIMIT %s
) c ON true GROUP BY m.slug
"""

HOURS: Final = 24
IN_A_DAY: Final = 5000  # calls of a model that its strip is drawn from
DAY: Final = """
SELECT m.slug, floor(extract(epoch FROM statement_timestamp() - c.started_at) / 3600) AS ago, count(*),
    count(*) FILTER (WHERE c.status IN ('failed_retryable', 'failed_final', 'unknown'))
FROM flows_modelentry m CROSS JOIN LATERAL (
    SELECT status, started_at FROM flows_call
    WHERE kind = 'model' AND target = m.slug AND started_at > statement_timestamp() - interval '24 hours' AND NOT cached
    ORDER BY id DESC LIMIT %s
) c WHERE c.started_at <= statement_timestamp() GROUP BY 1, 2
"""
MOST_REASONS: Final = 4
PARTICULARS: Final = r"(; skipped: .*|, not measured yet|, [0-9.e+-]+ s)$"


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a model's newest calls within a week: how many, how many failed, and seconds that an answer took."""

    calls: int = 0
    failed: int = 0
    median: float | None = None
    p95: float | None = None
    first_text: float | None = None  # the median of the seconds until an answer's first text

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.calls if self.calls else None


def figures_by_model() -> dict[str, Figures]:
    """One query, whose cost does not grow with the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, [timezone.now() - timedelta(days=DAYS), NEWEST])
        return {row[0]: Figures(row[1], row[2], *map(_seconds, row[3:6])) for row in cursor.fetchall()}


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
    reasons: tuple[tuple[str, int], ...] = ()  # why it was asked, and how often; the commonest first
    errors: tuple[tuple[str, int], ...] = ()  # error classes, and how often


def shares_of(route: str, models: Iterable[str]) -> Mapping[str, Share]:
    """By model: one query over the calls of these models. Of the reasons what differs from call to call (who was skipped and why,
    measured seconds) is left out."""
    failed = Q(status__in=["failed_retryable", "failed_final", "unknown"])
    why = Func("reason", Value(PARTICULARS), Value(""), function="regexp_replace")
    rows = list(
        Call.objects.filter(
            kind="model", target__in=list(models), route=route, started_at__gt=timezone.now() - timedelta(days=DAYS)
        )
        .order_by()
        .values("target", "error_class", why=why)
        .annotate(n=Count("id"), failed=Count("id", filter=failed), cached=Count("id", filter=Q(cached=True)))
    )
    total = sum(row["n"] for row in rows)
    return {target: _share([row for row in rows if row["target"] == target], total) for target in {row["target"] for row in rows}}


def _share(rows: Sequence[Mapping[str, Any]], total: int) -> Share:
    reasons, errors = Counter[str](), Counter[str]()
    for row in rows:
        reasons[row["why"]] += row["n"]
        if row["failed"]:
            errors[row["error_class"]] += row["failed"]
    calls, failed, cached = (sum(row[name] for row in rows) for name in ("n", "failed", "cached"))
    named = [(why, n) for why, n in reasons.most_common(MOST_REASONS) if why]
    return Share(calls, failed, cached, calls / total, tuple(named), tuple(errors.most_common()))


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a model's calls."""

    calls: int = 0
    failed: int = 0

    @property
    def state(self) -> str:
        """As the strip is filled: skipped (nobody asked), succeeded, retrying (some failed), failed (half or more)."""
        if not self.calls:
            return "skipped"
        return "succeeded" if not self.failed else "failed" if self.failed * 2 >= self.calls else "retrying"


def last_day() -> Mapping[str, tuple[Hour, ...]]:
    """By model the last 24 hours, the newest last, of its newest `IN_A_DAY` calls; one query. Models without calls are left out."""
    with connection.cursor() as cursor:
        cursor.execute(DAY, [IN_A_DAY])
        found: dict[str, dict[int, Hour]] = {}
        for slug, ago, calls, failed in cursor.fetchall():
            found.setdefault(slug, {})[int(ago)] = Hour(calls, failed)
    return {slug: tuple(hours.get(ago, Hour()) for ago in reversed(range(HOURS))) for slug, hours in found.items()}
