"""Reservations that nobody will settle: calls in flight of runs that nobody drives.

The protocol leaves none. Should one be there all the same, its run could not end truly, or not be claimed: so the reconciler
looks, closes the call as `unknown`, and charges what it had reserved, as a reclaim does.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from psycopg import AsyncConnection

log = logging.getLogger(__name__)

FIND: Final = """
SELECT DISTINCT r.id FROM flows_call c JOIN flows_run r ON r.id = c.run_id
WHERE c.status = 'started' AND r.owner IS NULL AND r.status <> 'running' LIMIT 100
"""

LOCK: Final = """
SELECT id FROM flows_run WHERE id = ANY(%s) AND owner IS NULL AND status <> 'running' ORDER BY id FOR UPDATE SKIP LOCKED
"""

SETTLE: Final = """
WITH lost AS (
    UPDATE flows_call c SET status = 'unknown', settled = CASE WHEN c.priced THEN c.reserved END,
        usage_source = 'estimated', ended_at = clock_timestamp(),
        error_class = 'unknown_outcome', error_message = 'Nobody was left to record the outcome.'
    WHERE c.run_id = ANY(%s) AND c.status = 'started'
    RETURNING c.run_id, c.reserved, c.reserved_tokens, c.priced
), sums AS (
    SELECT run_id, sum(reserved) AS reserved, sum(reserved_tokens) AS tokens, count(*) AS n,
        count(*) FILTER (WHERE NOT priced) AS unpriced FROM lost GROUP BY run_id
)
UPDATE flows_run r SET reserved = r.reserved - s.reserved, spent = r.spent + s.reserved,
    reserved_tokens = r.reserved_tokens - s.tokens, spent_tokens = r.spent_tokens + s.tokens,
    open_calls = greatest(r.open_calls - s.n, 0), unpriced = r.unpriced + s.unpriced
FROM sums s WHERE r.id = s.run_id RETURNING r.id
"""


async def settle_orphans(connection: AsyncConnection[Any]) -> int:
    """Closes the calls of runs that nobody drives. Gives the number of runs that had any: anything but 0 is a fault, and logged."""
    runs = [row[0] for row in await (await connection.execute(FIND)).fetchall()]
    if not runs:
        return 0
    async with connection.transaction():
        locked = [row[0] for row in await (await connection.execute(LOCK, (runs,))).fetchall()]
        settled = [row[0] for row in await (await connection.execute(SETTLE, (locked,))).fetchall()]
    if settled:
        log.error("orphan reservations settled, of run(s) %s", ", ".join(map(str, settled)))
    return len(settled)
