"""What a run has spent so far, and on what: the figures that a question about its limit shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg import AsyncConnection

MOST_STEPS = 20
"""Steps that are listed, the dearest first."""

FEWEST_RUNS = 3
"""Earlier runs without which nothing is expected."""

RUN: Final = "SELECT spent, spent_tokens, steps, flow_id FROM flows_run WHERE id = %s"

BY_STEP: Final = r"""
SELECT regexp_replace(path, '\[\d+\]', '[]', 'g') AS step, coalesce(sum(settled), 0),
    coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0)::bigint, count(*)
FROM flows_call WHERE run_id = %s GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1 LIMIT %s
"""

EARLIER: Final = """
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY spent), count(*) FROM (
    SELECT spent FROM flows_run WHERE flow_id = %s AND status = 'succeeded' AND reason = '' ORDER BY id DESC LIMIT 50
) earlier
"""


@dataclass(frozen=True, slots=True)
class Spending:
    """`expected` is what half of the earlier runs of the flow cost at most, or None where too few are known."""

    cost: Decimal = Decimal(0)
    tokens: int = 0
    steps: int = 0
    by_step: list[dict[str, Any]] = field(default_factory=list)
    expected: dict[str, Any] | None = None

    def of(self, which: str) -> Any:
        return {"cost": self.cost, "tokens": self.tokens, "steps": self.steps}[which]


async def spending_of(connection: AsyncConnection[Any], run: UUID) -> Spending:
    """The figures of a run as they are now."""
    row = await (await connection.execute(RUN, (run,))).fetchone()
    if row is None:
        return Spending()
    cost, tokens, steps, flow = row
    rows = await (await connection.execute(BY_STEP, (run, MOST_STEPS))).fetchall()
    by_step = [
        {"step": step, "cost": f"{spent.normalize():f}", "tokens": used, "calls": calls} for step, spent, used, calls in rows
    ]
    earlier = await (await connection.execute(EARLIER, (flow,))).fetchone()
    expected = None
    if earlier is not None and earlier[0] is not None and earlier[1] >= FEWEST_RUNS:
        expected = {"cost": f"{earlier[0].normalize():f}", "runs": earlier[1]}
    return Spending(cost, tokens, steps, by_step, expected)
