"""The pages on a large installation: a hundred thousand runs, a million steps and calls, six hundred open requests."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from statistics import quantiles

from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flows.models import Request, Run
from flows.models.identifiers import shown
from orchestrator.management.engines import an_engine
from orchestrator.seeding.large import seed_large
from tests.bench import Row, measure
from tests.bench.painting import Paint, painted
from tests.bench.stage import staged
from tests.makers import make_person

LOOKS = 42  # of each page; the first two warm it up. One that meets the summing of a day is not the 95th percentile


@dataclass(frozen=True, slots=True)
class Budget:
    """What a page may take: milliseconds at the 95th percentile, kB of compressed HTML and SQL queries; seconds until its largest paint
    and the sum of its layout shifts."""

    address: str
    milliseconds: float
    size: float
    queries: int
    paint: float
    shift: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a page took. It was asked in this process, without a network, but for its paint."""

    milliseconds: float
    size: float
    queries: int
    paint: Paint


def _list(address: str) -> Budget:
    return Budget(address, 250, 40, 12, 1.3, 0.02)


BUDGETS: dict[str, Budget] = {
    "page_home": Budget("/", 200, 25, 14, 1.2, 0.02),
    "page_flows": _list("/flows"),
    "page_runs": _list("/runs"),
    "page_run": Budget("/runs/{run}", 300, 60, 15, 1.5, 0.02),
    "page_run_of_10000": Budget("/runs/{long}", 300, 60, 15, 1.5, 0.02),
    "page_runs_failed": _list("/runs?state=failed&started=24h&sort=-cost"),
    "page_graph_of_300": _list("/flows/large-graph"),
    "page_costs": _list("/costs?from={year}&by=model"),
    "page_costs_by_day": _list("/costs?from={year}&by=day"),
    "page_costs_by_run": _list("/costs?from={year}&by=run"),
    "page_costs_by_step": _list("/costs?from={year}&by=step"),
    "page_approvals": Budget("/approvals", 200, 45, 12, 1.2, 0.01),
    "page_request": Budget("/approvals/{request}", 200, 45, 12, 1.2, 0.01),
    "page_builder": Budget("/flows/large-flow-01/edit", 250, 20, 10, 2.0, 0.05),
}


def quiet(*told: object) -> None:
    """Instead of a bar of progress."""


@cache
def figures() -> dict[str, Found]:
    """Of each page; the installation is made once for all of them."""
    with staged() as stage, an_engine(quiet):
        seed_large(quiet)
        run = Run.objects.filter(flow__slug="large-flow-01", status="succeeded").order_by("-id").values_list("id", flat=True)[0]
        asked = Request.objects.filter(state="pending", kind="approval").order_by("id").values_list("id", flat=True)[0]
        long = Run.objects.filter(flow__slug="large-map").values_list("id", flat=True)[0]
        stage.analyze()
        year = (date.today() - timedelta(days=394)).isoformat()
        named = {"run": shown("run", run), "long": shown("run", long), "request": shown("req", asked), "year": year}
        addresses = {name: budget.address.format(**named) for name, budget in BUDGETS.items()}
        client = Client(HTTP_HOST="127.0.0.1")
        client.force_login(make_person("owner"))
        served = {name: _served(client, address) for name, address in addresses.items()}
        paints = painted(addresses, client.cookies[settings.SESSION_COOKIE_NAME].value)
        return {name: Found(*served[name], paints[name]) for name in BUDGETS}


def _served(client: Client, address: str) -> tuple[float, float, int]:
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
        found, budget = figures()[name], BUDGETS[name]
        ok = found.milliseconds <= budget.milliseconds and found.size <= budget.size and found.queries <= budget.queries
        sizes = f"{found.size:.0f} of {budget.size:g} kB, {found.queries} of {budget.queries} queries"
        return Row(round(found.milliseconds, 1), "ms", f"<= {budget.milliseconds:g} ms; {sizes}", ok)

    return row


def _paint_row(name: str) -> Callable[[], Row]:
    def row() -> Row:
        found, budget = figures()[name].paint, BUDGETS[name]
        ok = found.seconds <= budget.paint and found.shift <= budget.shift
        return Row(
            found.seconds, "s", f"<= {budget.paint:g} s to the largest paint; shifts {found.shift:g} of {budget.shift:g}", ok
        )

    return row


for name in BUDGETS:
    measure(name)(_row(name))
    measure(f"{name}_paint")(_paint_row(name))
