"""How the engines do, in figures that PostgreSQL has: for an owner's look and for alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db import connection

HEALTH: Final = """
SELECT
    (SELECT count(*) FROM flows_worker WHERE beat > clock_timestamp() - %(lease)s * interval '1 second' AND NOT draining),
    (SELECT count(*) FROM flows_run WHERE status = 'queued' AND owner IS NULL),
    (SELECT count(*) FROM flows_run WHERE owner IS NOT NULL),
    (SELECT extract(epoch FROM clock_timestamp() - max_wait) FROM (
        SELECT min(coalesce((SELECT max(e.at) FROM flows_event e WHERE e.run_id = r.id AND e.seq = r.seq), r.created_at)) AS max_wait
        FROM (SELECT * FROM flows_run WHERE status = 'queued' AND owner IS NULL ORDER BY id LIMIT 1000) r) oldest)::float8,
    (SELECT coalesce(sum(reclaims), 0)::int FROM flows_worker),
    (SELECT coalesce(sum(fenced), 0)::int FROM flows_worker),
    (SELECT count(*) FROM flows_call c JOIN flows_run r ON r.id = c.run_id
        WHERE c.status = 'started' AND r.owner IS NULL AND r.status <> 'running'),
    (SELECT count(*) FROM flows_tooljob WHERE state = 'taken' AND beat < clock_timestamp() - interval '1 minute')
"""


@dataclass(frozen=True, slots=True)
class Health:
    """`reclaims` and `fenced` count since the workers that there are began; one that is gone is forgotten after an hour."""

    workers: int  # that beat and take runs
    queued: int
    driven: int
    oldest_unclaimed: float | None  # seconds since the last event of the queued run that has waited longest; None: none waits
    reclaims: int
    fenced: int  # writes refused because another worker owned the run
    orphan_reservations: int
    silent_jobs: int  # of the tools worker


def health(lease: float) -> Health:
    """The figures now: one query. `lease` is the engines', in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(HEALTH, {"lease": lease})
        return Health(*cursor.fetchone())
