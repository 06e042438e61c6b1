"""Budgets of periods on real engines and a real service: no call that could pass a limit is sent, and every dollar is counted once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from psycopg import AsyncConnection

from flows.access.refusals import Forbidden
from flows.execution.budgets import NOTE, settle, settle_left_behind
from flows.execution.budgets import held as hold
from flows.execution.context import Intent
from flows.models import AuditRow, Budget, BudgetPeriod, Price, Request, Run
from flows.models.identifiers import new_id
from flows.runs.actions.change_budget import go_on_in_a_new_period
from flows.runs.actions.start_run import start_run
from orchestrator.engine import dsn
from tests.execution.conftest import Drive
from tests.execution.purses import counted, make_budget
from tests.execution.runs import calls_of, finish, make_model, model, source_of, start, until
from tests.execution.services import Pair
from tests.execution.test_limits import chosen, question_of
from tests.makers import make_actor, make_flow, make_run
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

    until(lambda: BudgetPeriod.objects.filter(budget=budget, told={budget.bounds: 100}, spent_calls=2).exists())
    assert AuditRow.objects.filter(action="budget.reached").count() == 1


@pytest.mark.django_db
def test_BUD_1_a_share_of_a_limit_that_was_raised_is_noted_anew_and_one_that_comes_back_is_not() -> None:
    budget = make_budget(cost="10", warn=[80])
    now = timezone.now()
    times = {"begins": now - timedelta(hours=1), "ends": now + timedelta(hours=1)}
    period = BudgetPeriod.objects.create(budget=budget, spent=Decimal(8), **times)

    def noted(cost: str, spent: str) -> tuple[int, int]:
        """What stands at the meter, and how many shares were noted in all."""
        Budget.objects.filter(id=budget.id).update(cost=Decimal(cost))
        BudgetPeriod.objects.filter(id=period.id).update(spent=Decimal(spent))
        for _ in range(2):
            with connection.cursor() as cursor:
                cursor.execute(NOTE)
        found = BudgetPeriod.objects.select_related("budget").get(id=period.id)
        return found.noted, AuditRow.objects.filter(action="budget.reached").count()

    assert noted("10", "8") == (80, 1)
    assert noted("20", "9") == (0, 1)
    assert noted("10", "9") == (80, 1)
    assert noted("20", "16") == (80, 2)
    assert noted("20", "20") == (100, 3)
    assert [row.data["limit"] for row in AuditRow.objects.filter(action="budget.reached").order_by("id")] == [
        "10.000000000000",
        "20.000000000000",
        "20.000000000000",
    ]


# ------------------------------------------------------------------ single runs and steps


def bounded(scope: str, subject: str = "", **limits: Any) -> Budget:
    return make_budget(scope, subject, limits.pop("cost", None), "run", **limits)


@pytest.mark.parametrize(
    ("scope", "subject", "calls", "asked"),
    [
        ("run", "", 1, 1),
        ("run", "looking", 1, 1),
        ("run", "other", 0, 2),
        ("step", "", 1, 2),
        ("step", "looking/b", 0, 1),
        ("model", "primary", 1, 1),
    ],
)
def test_any_single_run_or_step_keeps_within_its_budget(
    drive: Drive, pair: Pair, scope: str, subject: str, calls: int, asked: int
) -> None:
    steps = {"a": model("Hello", "primary"), "b": model("Again", "primary")}
    flow = make_flow("looking", document=source_of(steps, ["start -> a", "a -> b"], input={"type": "object"}))
    make_flow("other")
    bounded(scope, subject, calls=calls)
    drive()

    runs = [finish(start_run(make_actor("operator"), flow.slug, None)) for _ in range(2)]

    assert [run.status for run in runs] == ["budget_stopped" if asked < 2 else "succeeded"] * 2  # each has its own
    assert len(pair[0].asked) == 2 * asked


@pytest.mark.django_db(transaction=True)
def test_what_is_inside_a_step_counts_as_the_steps_and_each_run_has_its_own() -> None:
    first, second, budget = make_run(status="running"), make_run(status="running"), bounded("step", cost="1")

    def holds(run: Run, path: str) -> Callable[[AsyncConnection[Any]], Awaitable[Any]]:
        return lambda connection: hold(connection, run.id, 1, new_id(), INTENT, path)

    *taken, reached = asked(
        holds(first, "each[1].a"),
        holds(first, "each[2].b"),
        holds(first, "other"),
        holds(second, "each[1].a"),
        holds(first, "each[3].a"),
    )

    assert taken == [None] * 4
    assert (reached.period.name, reached.which) == ("any step", "cost")
    held = BudgetPeriod.objects.filter(budget=budget).order_by("run_id", "path").values_list("run_id", "path", "reserved")
    assert list(held) == [
        (first.id, "each", Decimal("0.8")),
        (first.id, "other", Decimal("0.4")),
        (second.id, "each", Decimal("0.4")),
    ]


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


# ------------------------------------------------------------------ pause


def two_steps() -> Run:
    return start({"a": model("Hello", "primary"), "b": model("Again", "primary")}, ["start -> a", "a -> b"])


def tight(**fields: Any) -> Budget:
    """Room for one call at a time, and no more once one is paid."""
    return make_budget(cost="0.00104", at_limit="pause", **fields)


def test_at_the_limit_a_run_rests_and_asks_with_what_was_spent_and_bought(drive: Drive, pair: Pair) -> None:
    budget = tight()
    drive()
    run = two_steps()

    asked = question_of(run)

    spent = counted(budget).spent
    payload = json.loads(asked.payload)
    assert payload["limit"] == {"of": "budget", "which": "cost", "amount": "0.00104", "name": "all, day"}
    assert (Decimal(payload["spent"]), payload["by_step"][0]["step"]) == (spent, "a")
    assert spent + Decimal(payload["needed"]) > Decimal("0.00104")
    assert asked.title == f"Run #{run.number} has no room in the budget all, day"
    assert list(asked.outcomes) == ["raise", "cheaper", "finish", "stop"]
    assert len(pair[0].asked) == 1


def test_only_an_owner_raises_a_budget_and_the_same_run_goes_on(drive: Drive, pair: Pair) -> None:
    budget = tight()
    drive()
    runs = [two_steps(), two_steps()]
    first, _ = [question_of(run) for run in runs]

    with pytest.raises(Forbidden, match="only an owner"):
        chosen(first, "raise", {"limit": "1"}, role="builder")
    chosen(first, "raise", {"limit": "1"})

    ended = [finish(run) for run in runs]  # the other one asked about the same budget
    assert [(run.id, run.status, run.pass_number) for run in ended] == [(run.id, "succeeded", 1) for run in runs]
    budget.refresh_from_db()
    assert budget.cost == 1
    row = AuditRow.objects.get(action="budget.change")
    assert (row.data["to"], row.data["reason"]) == ({"cost": "1"}, f"run #{runs[0].number} asked for room")


@pytest.mark.parametrize(
    ("choice", "ended"), [("finish", ("succeeded", "limited")), ("stop", ("budget_stopped", "budget all, day"))]
)
def test_at_a_budgets_limit_people_may_finish_or_stop_the_run(
    drive: Drive, pair: Pair, choice: str, ended: tuple[str, str]
) -> None:
    tight()
    drive()
    run = two_steps()

    chosen(question_of(run), choice, role="operator")

    run = finish(run)
    assert (run.status, run.reason) == ended
    assert len(pair[0].asked) == 1


def test_at_a_budgets_limit_people_may_choose_cheaper_models(drive: Drive, pair: Pair) -> None:
    Price.objects.create(model_id="backup", input=Decimal("0.01"), output=Decimal("0.1"))
    tight()
    drive()
    run = start({"a": model("Hello", "pair"), "b": model("Again", "pair")}, ["start -> a", "a -> b"])

    chosen(question_of(run), "cheaper", role="operator")

    assert finish(run).status == "succeeded"
    assert [call.target for call in calls_of(run)] == ["primary", "backup"]


def test_a_question_about_a_budget_is_moot_in_its_next_period(drive: Drive, pair: Pair) -> None:
    budget = tight()
    drive()
    run = two_steps()
    asked = question_of(run)

    assert go_on_in_a_new_period() == 0
    Request.objects.filter(id=asked.id).update(terms=asked.terms | {"ends": "2026-01-01T00:00:00+00:00"})
    BudgetPeriod.objects.filter(budget=budget).update(begins=F("begins") - timedelta(days=1), ends=F("ends") - timedelta(days=1))

    assert go_on_in_a_new_period() == 1
    assert finish(run).status == "succeeded"
    asked.refresh_from_db()
    assert asked.state == "withdrawn"
