"""How the parts of this installation do, in words and figures."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import redis
from django.conf import settings
from django.db import connection

from flows.access.signin import client
from flows.execution.health import Health, health

FULL = 90  # percent of the disk


@dataclass(frozen=True, slots=True)
class Part:
    """One part: whether it is well, and what there is to say."""

    slug: str
    label: str
    well: bool
    words: str


def parts() -> tuple[list[Part], Health]:
    """The parts, and the engines' figures."""
    figures = health(settings.LEASE)
    return [_workers(figures), _queue(figures), _database(), _redis(), _disk()], figures


def _workers(figures: Health) -> Part:
    if not figures.workers:
        return Part("workers", "Workers", False, "No workers – runs will stay queued")
    words = f"{figures.workers} at work, {figures.driven} run{'s' if figures.driven != 1 else ''} in hand"
    return Part("workers", "Workers", True, words)


def _queue(figures: Health) -> Part:
    if figures.oldest_unclaimed is None:
        return Part("queue", "Queue", True, "0 runs")
    minutes, seconds = divmod(int(figures.oldest_unclaimed), 60)
    words = f"{figures.queued} run{'s' if figures.queued != 1 else ''}, the oldest waits {minutes:02}:{seconds:02}"
    return Part("queue", "Queue", bool(figures.workers), words)


def _database() -> Part:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database())), current_setting('server_version')")
        size, version = cursor.fetchone()
    return Part("database", "Database", True, f"{size}, PostgreSQL {version}")


def _redis() -> Part:
    try:
        client().ping()
    except redis.RedisError as error:
        return Part("redis", "Redis", False, f"does not answer ({type(error).__name__}): pages look by themselves, work goes on")
    return Part("redis", "Redis", True, "answers")


def _disk() -> Part:
    try:
        usage = shutil.disk_usage(settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR)
    except OSError as error:
        return Part("disk", "Disk", False, str(error))
    percent = round(usage.used / usage.total * 100)
    return Part("disk", "Disk", percent < FULL, f"{percent} % full")
