"""A purse that holds: whatever runs in parallel, is retried, falls back or happens in a sub-flow, at no instant do spent and reserved
money pass the limit, and what the ledger says is what the servers served, to the last decimal."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from flows.models import Call, Price, Run
from tests.engine.course import subflow
from tests.engine.flows import source_of
from tests.execution.conftest import Drive
from tests.execution.purses import counted, highest_of, make_budget, served_for, watched
from tests.execution.runs import finish, model, start
from tests.execution.services import Pair, in_catalogue
from tests.makers import make_flow

PRICES = {
    name: {key: Decimal(figure) for key, figure in figures.items()}
    for name, figures in {
        "primary": {"input": "1.25", "cached": "0.125", "output": "10", "reasoning": "12.5"},
        "backup": {"input": "0.7", "cached": "0.07", "output": "3.333333", "reasoning": "4"},
    }.items()
}
RETRY = {"attempts": 3, "backoff": "fixed", "first": "20ms"}


@pytest.fixture
def priced(transactional_db: None, services: Pair) -> Pair:
    """The services, with prices that leave many decimals, answering each request in another length and time; some they refuse. None is
    given up: what is, is settled at what was held for it, which is more than was served."""
    in_catalogue(services, timeout=60.0)
    for name, figures in PRICES.items():
        Price.objects.create(
            model_id=name,
            input=figures["input"],
            cached_input=figures["cached"],
            output=figures["output"],
            reasoning=figures["reasoning"],
        )
    lots = random.Random(20260701)
    for server in services:
        server.program.extend(_behaviour(lots) for _ in range(600))
    return services


def _behaviour(lots: random.Random) -> dict[str, Any]:
    kind = lots.choices(["", "cached", "429", "503"], [10, 4, 1, 1])[0]
    return {"behave": kind, "say": " ".join(["word"] * lots.randint(1, 60)), "delay": str(lots.random() * 0.08)}


def branches(width: int) -> Run:
    """A map of so many items at once: each asks by a chain of two models, with retries, and asks again inside a sub-flow."""
    asked = model("Item {{ index }}: " + "{{ 'long ' * index }}", "pair", retry=RETRY)
    body = {
        "steps": {"a": asked, "sub": subflow(flow="inner")},
        "edges": ["start -> a", "a -> sub"],
        "output": "{{ steps.a.output }}",
    }
    each = {"kind": "map", "with": {"over": "input", "concurrency": width, "body": body}}
    return start({"each": each}, ["start -> each"], list(range(width)), input={"type": "array"})


@pytest.mark.parametrize(("runs", "width", "limit"), [(1, 50, "0.02"), (20, 4, "0.03"), (20, 4, "5")])
def test_BUD_3_parallel_calls_cannot_pass_a_limit_together(drive: Drive, priced: Pair, runs: int, width: int, limit: str) -> None:
    make_flow("inner", document=source_of({"b": model("Once more", "pair", retry=RETRY)}, ["start -> b"], name="Inner"))
    budget = make_budget(cost=limit)
    drive()

    with watched(budget) as seen:
        ended = [finish(run, within=90) for run in [branches(width) for _ in range(runs)]]

    period = counted(budget)
    calls = list(Call.objects.all())
    ledger = sum((call.settled or Decimal(0) for call in calls), Decimal(0))
    assert max(seen) <= budget.cost
    assert highest_of(calls) <= budget.cost
    assert (period.spent, period.reserved, period.spent_calls, period.unpriced) == (ledger, 0, len(calls), 0)
    assert served_for(priced, PRICES) == ledger == sum((run.spent for run in ended), Decimal(0))
    assert sum(len(server.asked) for server in priced) == len(calls)
    assert all(call.reserved >= (call.settled or 0) for call in calls)
    if limit == "5":
        assert {run.status for run in ended} == {"succeeded"}
        assert {call.target for call in calls} == set(PRICES)
        assert Call.objects.filter(attempt__gt=1).exists(), "no call was retried"
        assert Call.objects.filter(path__contains="/").exists(), "no call was made in a sub-flow"
    else:
        assert {run.reason for run in ended if run.status == "budget_stopped"} == {"budget all, day"}
        assert 0 < ledger <= budget.cost
