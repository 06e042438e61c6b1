"""Removing what has expired; called by the reconciler. Steps do not find it any more from the moment itself."""

from __future__ import annotations

from typing import Final

from django.db import connection

AT_ONCE: Final = 500  # names of one look

EXPIRED: Final = """
WITH gone AS (
    DELETE FROM flows_memoryentry WHERE id IN (
        SELECT id FROM flows_memoryentry WHERE expires_at <= clock_timestamp() ORDER BY place, name LIMIT %s FOR UPDATE SKIP LOCKED
    ) RETURNING id
)
DELETE FROM flows_memorychange WHERE entry_id IN (SELECT id FROM gone)
"""


def forget_expired() -> None:
    """Removes what has expired, with its history."""
    with connection.cursor() as cursor:
        cursor.execute(EXPIRED, [AT_ONCE])
