"""The pages on a large installation: a hundred thousand runs, a million steps and calls, six hundred open requests."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from statistics import quantiles

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flows.costs.folding import fold_everything
from flows.models import Flow
from flows.models.identifiers import shown
from tests.bench import Row, measure
from tests.bench.engine import EFFECTS, document
from tests.bench.large import multiply_run
from tests.bench.stage import staged
from tests.makers import make_person, make_request, make_run

RUNS, REQUESTS, FLOWS = 100_000, 600, 20
LOOKS = 20  # of each page; the first two warm it up

# Page: (address, milliseconds at the 95th percentile, kB of compressed HTML, SQL queries)
BUDGETS: dict[str, tuple[str, float, float, int]] = {
    "page_home": ("/", 200, 25, 14),
    "page_flows": ("/flows", 250, 40, 12),
    "page_runs": ("/runs", 250, 40, 12),
    "page_run": ("/runs/{run}", 300, 60, 15),
    "page_costs": ("/costs?from={year}&by=model", 250, 40, 12),
    "page_costs_by_day": ("/costs?from={year}&by=day", 250, 40, 12),
    "page_approvals": ("/approvals", 200, 45, 12),
}


@cache
def figures() -> dict[str, tuple[float, float, int]]:
    """Of each page: milliseconds, kB and queries. The pages are asked in this process, without a network."""
    with staged() as stage:
        for name in ("bench", *(f"bench-{n}" for n in range(1, FLOWS))):
            stage.import_flow(name, document(EFFECTS))
        with stage.engines(1, capacity=10):
            stage.start_runs("bench", 1, {"n": 1})
            stage.wait_until_ended(1, 60)
        (run,) = stage.database.execute("SELECT id FROM flows_run").fetchone() or (None,)
        multiply_run(stage.database, run, RUNS, list(Flow.objects.values_list("id", flat=True)))
        fold_everything()
        flow = Flow.objects.get(slug="bench")
        for _ in range(REQUESTS):
            make_request(make_run(flow, status="waiting_approval"))
        stage.analyze()
        year = (date.today() - timedelta(days=394)).isoformat()
        client = Client(HTTP_HOST="127.0.0.1")
        client.force_login(make_person("owner"))
        return {name: _page(client, budget[0].format(run=shown("run", run), year=year)) for name, budget in BUDGETS.items()}


def _page(client: Client, address: str) -> tuple[float, float, int]:
    times = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        answer = client.get(address)
        times.append((time.perf_counter() - began) * 1000)
    if answer.status_code != 200:
        raise RuntimeError(f"{address}: {answer.status_code}")
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    return quantiles(times[2:], n=20)[18], len(gzip.compress(answer.content)) / 1000, len(queries)


def _row(name: str) -> Callable[[], Row]:
    def row() -> Row:
        milliseconds, size, queries = figures()[name]
        _, slowest, largest, most = BUDGETS[name]
        ok = milliseconds <= slowest and size <= largest and queries <= most
        target = f"<= {slowest:g} ms; {size:.0f} of {largest:g} kB, {queries} of {most} queries"
        return Row(round(milliseconds, 1), "ms", target, ok)

    return row


for name in BUDGETS:
    measure(name)(_row(name))
