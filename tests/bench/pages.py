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

from flows.models import Request, Run
from flows.models.identifiers import shown
from orchestrator.management.engines import an_engine
from orchestrator.seeding.large import seed_large
from tests.bench import Row, measure
from tests.bench.stage import staged
from tests.makers import make_person

LOOKS = 20  # of each page; the first two warm it up

# Page: (address, milliseconds at the 95th percentile, kB of compressed HTML, SQL queries)
BUDGETS: dict[str, tuple[str, float, float, int]] = {
    "page_home": ("/", 200, 25, 14),
    "page_flows": ("/flows", 250, 40, 12),
    "page_runs": ("/runs", 250, 40, 12),
    "page_run": ("/runs/{run}", 300, 60, 15),
    "page_run_of_10000": ("/runs/{long}", 300, 60, 15),
    "page_runs_failed": ("/runs?state=failed&started=24h&sort=-cost", 250, 40, 12),
    "page_graph_of_300": ("/flows/large-graph", 250, 40, 12),
    "page_costs": ("/costs?from={year}&by=model", 250, 40, 12),
    "page_costs_by_run": ("/costs?from={year}&by=run", 250, 40, 12),
    "page_costs_by_step": ("/costs?from={year}&by=step", 250, 40, 12),
    "page_costs_by_day": ("/costs?from={year}&by=day", 250, 40, 12),
    "page_approvals": ("/approvals", 200, 45, 12),
    "page_request": ("/approvals/{request}", 200, 45, 12),
}


def quiet(*told: object) -> None:
    """Instead of a bar of progress."""


@cache
def figures() -> dict[str, tuple[float, float, int]]:
    """Of each page: milliseconds, kB and queries. The pages are asked in this process, without a network."""
    with staged() as stage, an_engine(quiet):
        seed_large(quiet)
        run = Run.objects.filter(flow__slug="large-flow-01", status="succeeded").order_by("-id").values_list("id", flat=True)[0]
        asked = Request.objects.filter(state="pending", kind="approval").order_by("id").values_list("id", flat=True)[0]
        long = Run.objects.filter(flow__slug="large-map").values_list("id", flat=True)[0]
        stage.analyze()
        year = (date.today() - timedelta(days=394)).isoformat()
        client = Client(HTTP_HOST="127.0.0.1")
        client.force_login(make_person("owner"))
        return {
            name: _page(
                client, budget[0].format(run=shown("run", run), long=shown("run", long), request=shown("req", asked), year=year)
            )
            for name, budget in BUDGETS.items()
        }


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
