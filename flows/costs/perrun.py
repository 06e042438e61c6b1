"""What a run costs: the middle one, and what one comes to, or one that succeeded."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from flows.access.actor import Actor
from flows.costs.ranking import spent_of
from flows.costs.reports import ZERO, Scope
from flows.costs.sums import Standing, sources_of

_PER_RUN = """
SELECT count(*), count(*) FILTER (WHERE r.status = 'succeeded'), percentile_disc(0.5) WITHIN GROUP (ORDER BY x.money),
    coalesce(sum(x.money), 0), coalesce(sum(x.unknown), 0)
FROM (SELECT name, coalesce(sum(settled), 0) AS money, sum(unknown) AS unknown
      FROM ({spent}) y(name, simulated, settled, unknown) GROUP BY name) x JOIN flows_run r ON r.id = x.name
"""


@dataclass(frozen=True, slots=True)
class PerRun:
    """Of the runs that made calls in a scope: how many there are, how many have succeeded, what the middle one cost there (None without
    any; of an even number the cheaper of both), and all together, in dollars. `unpriced` calls come on top."""

    runs: int
    succeeded: int
    median: Decimal | None
    cost: Decimal
    unpriced: int

    @property
    def each(self) -> Decimal | None:
        """What a run cost on average, to the ledger's last place."""
        return self._shared(self.runs)

    @property
    def each_success(self) -> Decimal | None:
        """All that was spent, for each run that succeeded: what the others cost is part of the price of success."""
        return self._shared(self.succeeded)

    def _shared(self, among: int) -> Decimal | None:
        return (self.cost / among).quantize(Decimal("1e-12")) if among else None


def per_run(actor: Actor, scope: Scope, at: Standing) -> PerRun:
    """One query; where days are summed it reads a row a run."""
    spent, values = spent_of(sources_of(actor, scope, "run", at=at), "run")
    with connection.cursor() as cursor:
        cursor.execute(_PER_RUN.format(spent=spent), values)
        runs, succeeded, median, cost, unpriced = cursor.fetchone() or (0, 0, None, ZERO, 0)
    return PerRun(runs, succeeded, median, cost, int(unpriced))
