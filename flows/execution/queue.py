"""Who goes first: which of the queued runs an engine takes next.

The rules, in this order; `CLAIM_QUEUED` (flows/execution/claims.py) builds on the statement below.

1. *A flow's limit.* No more runs of a flow than `max_running` are running at once, whoever claims. A run that waits frees its
   place; with `keeps_slot` it keeps it, and goes on in it when it is woken.
2. *Priority.* A run of a higher priority goes before one of a lower.
3. *Turns.* Between runs of one priority, the flow that has fewer runs running goes first, so 10,000 queued runs of one flow do not
   hold up another's single run.
4. *Begun before new, old before young* between runs of one flow and priority.

Every fifth claim of an engine passes priority over, and takes each flow's oldest run: nothing waits for ever behind what is more
important.

The limit holds without a lock that everybody waits for. A claim reads the flow's row and counts its runs in one snapshot, then locks
the row if it is still the same (`xmin`) and writes it anew. Who was overtaken finds another row there and takes nothing of that flow.

Nothing here grows with the number of queued or ended runs: flows are found by skipping from one to the next along a partial index,
and of each no more than `most` × `HEADS` rows are looked at.
"""

from __future__ import annotations

from typing import Final

PRIORITIES: Final = range(-10, 11)
PRIORITY_MENDS: Final = "Give a whole number from -10 to 10; higher goes first."


def is_priority(value: object) -> bool:
    """Whether a run or a flow may have this priority."""
    return isinstance(value, int) and not isinstance(value, bool) and value in PRIORITIES


PASSED_OVER = 5
"""Of so many claims of an engine one goes by age instead of priority."""

HEADS = 4
"""How many times the runs that are wanted are looked at in each flow: others may be claiming the first of them just now."""

_LINE: Final = """
WITH RECURSIVE lane AS (
    (SELECT flow_id FROM flows_run WHERE status = 'queued' AND owner IS NULL ORDER BY flow_id LIMIT 1)
    UNION ALL
    SELECT following.flow_id FROM lane CROSS JOIN LATERAL (
        SELECT r.flow_id FROM flows_run r WHERE r.status = 'queued' AND r.owner IS NULL AND r.flow_id > lane.flow_id
        ORDER BY r.flow_id LIMIT 1
    ) following
), flow AS MATERIALIZED (
    SELECT f.id, f.max_running, f.xmin AS written, f.keeps_slot AND f.max_running IS NOT NULL AS keeps, running.n AS running,
        f.max_running - running.n AS free, f.max_running - coalesce(begun.n, running.n) AS room
    FROM lane JOIN flows_flow f ON f.id = lane.flow_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS n FROM flows_run r
        WHERE r.flow_id = f.id AND r.status = 'running' AND r.started_at IS NOT NULL AND r.ended_at IS NULL
    ) running
    LEFT JOIN LATERAL (
        SELECT count(*) AS n FROM flows_run r WHERE r.flow_id = f.id AND r.started_at IS NOT NULL AND r.ended_at IS NULL
    ) begun ON f.keeps_slot AND f.max_running IS NOT NULL
), head AS MATERIALIZED (
    SELECT r.id, r.priority, flow.id AS flow, flow.max_running,
        flow.running + row_number() OVER (PARTITION BY flow.id ORDER BY r.holds DESC, {order}) AS turn
    FROM flow CROSS JOIN LATERAL (
        (SELECT r.id, r.priority, r.started_at, true AS holds FROM flows_run r
         WHERE flow.keeps AND r.flow_id = flow.id AND r.status = 'queued' AND r.started_at IS NOT NULL AND r.ended_at IS NULL
         ORDER BY {order} LIMIT greatest(flow.free, 0))
        UNION ALL
        (SELECT r.id, r.priority, r.started_at, false FROM flows_run r
         WHERE r.flow_id = flow.id AND r.status = 'queued' AND r.owner IS NULL AND NOT (flow.keeps AND r.started_at IS NOT NULL)
         ORDER BY {order} LIMIT greatest(least(flow.room, %(most)s * {heads}), 0))
    ) r
), limited AS MATERIALIZED (
    SELECT f.id FROM flows_flow f JOIN flow ON flow.id = f.id AND flow.written = f.xmin AND flow.max_running = f.max_running
    WHERE flow.free > 0 ORDER BY f.id FOR NO KEY UPDATE OF f SKIP LOCKED
), found AS MATERIALIZED (
    SELECT r.* FROM (
        SELECT head.id FROM head LEFT JOIN limited ON limited.id = head.flow
        WHERE head.max_running IS NULL OR limited.id IS NOT NULL ORDER BY {priority}head.turn, head.id
    ) head CROSS JOIN LATERAL (
        SELECT r.id, r.epoch, r.flow_id FROM flows_run r
        WHERE r.id = head.id AND r.status = 'queued' AND r.owner IS NULL AND r.open_calls = 0 OFFSET 0 FOR UPDATE SKIP LOCKED
    ) r LIMIT %(most)s
), counted AS (
    UPDATE flows_flow f SET max_running = f.max_running FROM limited
    WHERE f.id = limited.id AND EXISTS (SELECT 1 FROM found WHERE found.flow_id = f.id)
)"""

BY_PRIORITY: Final = _LINE.format(order="r.priority DESC, r.started_at, r.id", priority="head.priority DESC, ", heads=HEADS)
BY_AGE: Final = _LINE.format(order="r.id", priority="", heads=HEADS)
"""The beginning of a claim: `found` has the runs to take, locked, up to the argument `most`."""
