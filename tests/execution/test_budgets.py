"""Budgets of periods on real engines and a real service: no call that could pass a limit is sent, and every dollar is counted once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from flows.execution.budgets import held as hold
from flows.execution.budgets import settle, settle_left_behind
from flows.execution.context import Intent
from flows.models import AuditRow, BudgetPeriod
from flows.models.identifiers import new_id
from orchestrator.engine import dsn
from tests.execution.conftest import Drive
from tests.execution.purses import counted, make_budget
from tests.execution.runs import finish, make_model, model, start, until
from tests.execution.services import Pair
from tests.makers import make_run
from tests.runs.journals import make_call


def test_BUD_2_at_the_limit_nothing_is_sent_and_the_run_says_why(drive: Drive, pair: Pair) -> None:
    make_budget("flow", "other", "0")
    flow_budget = make_budget("model", "primary", "0.000001")
    drive()

    run = finish(start({"a": model("Hello", "primary")}, ["start -> a"]))

    assert (run.status, run.reason) == ("budget_stopped", "budget model primary, day")
    assert not pair[0].asked
    assert counted(flow_budget).spent_calls == 0


@pytest.mark.parametrize(
    ("at_limit", "status"), [("notify", "succeeded"), ("finish", "succeeded"), ("cheaper", "budget_stopped")]
)
def test_what_a_budget_does_at_its_limit(drive: Drive, pair: Pair, at_limit: str, status: str) -> None:
    make_budget(cost="0", at_limit=at_limit)
    drive()

    run = finish(start({"a": model("Hello", "primary")}, ["start -> a"]))

    assert run.status == status
    assert len(pair[0].asked) == (at_limit == "notify")


def test_simulated_money_never_counts(drive: Drive) -> None:
    make_model()
    make_budget(cost="0")
    drive()

    assert finish(start({"a": model()}, ["start -> a"])).status == "succeeded"
    assert not BudgetPeriod.objects.exists()


def test_BUD_1_a_threshold_is_noted_once(drive: Drive, pair: Pair) -> None:
    budget = make_budget(cost="0.000001", warn=[50, 80], at_limit="notify")
    drive()
    for _ in range(2):
        finish(start({"a": model("Hello", "primary")}, ["start -> a"]))

    until(lambda: BudgetPeriod.objects.filter(budget=budget, noted=100, spent_calls=2).exists())
    assert AuditRow.objects.filter(action="budget.reached").count() == 1


# ------------------------------------------------------------------ what a worker that died leaves behind


def asked(*questions: Callable[[AsyncConnection[Any]], Awaitable[Any]]) -> list[Any]:
    """What each gives, one after the other, on a connection as an engine has it."""

    async def all_of_them() -> list[Any]:
        connection = await AsyncConnection.connect(dsn(), autocommit=True)
        async with connection:
            return [await question(connection) for question in questions]

    return asyncio.run(all_of_them())


INTENT = Intent("model", "small-1", "{}", reserve=Decimal("0.4"), reserve_tokens=100)


@pytest.mark.django_db(transaction=True)
def test_a_hold_is_taken_once_and_settled_once() -> None:
    run, budget, call = make_run(status="running"), make_budget(), new_id()

    def holds(which: UUID) -> Callable[[AsyncConnection[Any]], Awaitable[Any]]:
        return lambda connection: hold(connection, run.id, 1, which, INTENT)

    *taken, reached = asked(
        holds(call), holds(call), holds(new_id()), holds(new_id())
    )  # the first's commit was lost: asked again
    assert taken == [None, None, None]
    assert (reached.which, reached.waits) == ("cost", True)

    make_call(run, "a", cost="0.3", id=call)
    assert asked(lambda connection: settle(connection, [call]), lambda connection: settle(connection, [call])) == [[call], []]
    period = BudgetPeriod.objects.get(budget=budget)
    assert (period.spent, period.reserved, period.spent_calls, period.reserved_calls) == (Decimal("0.3"), Decimal("0.4"), 1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("state", "epoch", "call", "left"),
    [
        ("running", 1, None, ("0", "0.4")),  # its intent may still come
        ("running", 2, None, ("0", "0")),  # killed between hold and intent, and taken up by another
        ("waiting", 1, None, ("0", "0")),
        ("running", 2, "started", ("0", "0.4")),  # killed during the call, not reclaimed yet
        ("running", 2, "unknown", ("0.4", "0")),  # reclaimed: charged what was reserved
        ("succeeded", 1, "succeeded", ("0.25", "0")),  # killed between settlement and counting
    ],
)
def test_what_a_killed_worker_held_is_counted_or_given_back(
    state: str, epoch: int, call: str | None, left: tuple[str, str]
) -> None:
    run, budget, id_ = make_run(status=state, epoch=epoch), make_budget(), new_id()
    asked(lambda connection: hold(connection, run.id, 1, id_, INTENT))
    if call is not None:
        cost = {"started": None, "unknown": "0.4", "succeeded": "0.25"}[call]
        make_call(run, "a", cost=cost, id=id_, status=call)

    asked(settle_left_behind, settle_left_behind)

    period = BudgetPeriod.objects.get(budget=budget)
    assert (period.spent, period.reserved) == (Decimal(left[0]), Decimal(left[1]))
