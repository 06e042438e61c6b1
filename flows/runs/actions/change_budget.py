"""Changing a budget, and going on with the runs that wait for room in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.refusals import Conflict, Forbidden
from flows.access.rights import Right
from flows.costs.actions.put_budget import Wanted, put_budget, remove_budget, wanted_of
from flows.engine.states import OPEN_REQUEST_STATES
from flows.execution.doorbells import inbox_changed
from flows.execution.moves import announce, append_event, lock_run, signal
from flows.execution.requests import answer
from flows.models import Budget, Request


def change_budget(actor: Actor, wanted: Wanted, reason: str = "") -> tuple[Budget, bool]:
    """`put_budget`; where that changed the budget, the runs that ask about it go on, within it as it is now."""
    with transaction.atomic():
        budget, changed = put_budget(actor, wanted, reason)
        if changed:
            _go_on(actor, budget.id)
    return budget, changed


def raise_budget(actor: Actor, budget_id: UUID, which: str, amount: Any, reason: str) -> None:
    """Raises one measure of a budget to `amount`. One that was removed meanwhile, or raised further, stays so. Raises `Forbidden`, and
    `Invalid` where even so much is used already."""
    require_budgets(actor)
    budget = Budget.objects.filter(id=budget_id).first()
    if budget is None or getattr(budget, which) is None or getattr(budget, which) >= amount:
        _go_on(actor, budget_id)
    else:
        change_budget(actor, replace(wanted_of(budget), **{which: amount}), reason)


def drop_budget(actor: Actor, budget_id: UUID, reason: str) -> None:
    """`remove_budget`; the runs that ask about it go on."""
    with transaction.atomic():
        remove_budget(actor, budget_id, reason)
        _go_on(actor, budget_id)


def require_budgets(actor: Actor) -> None:
    """Passes for an owner. Raises `Forbidden`."""
    if not actor.holdings.allow(Right.MANAGE_BUDGETS):
        raise Forbidden(Right.MANAGE_BUDGETS, "A budget holds for more than this run: only an owner may raise it.")


def go_on_in_a_new_period() -> int:
    """Withdraws what runs ask about budgets whose period is over, and wakes them; gives how many. The reconciler calls it."""
    woken = 0
    now = timezone.now()
    for request in _asking().order_by("id"):
        if datetime.fromisoformat(request.terms["ends"]) <= now:
            woken += _withdraw(request)
    return woken


def _withdraw(request: Request) -> bool:
    assert request.run_id is not None
    with transaction.atomic():
        run = lock_run(request.run_id)
        if not _asking().filter(id=request.id).update(state="withdrawn", decided_at=Now()):
            return False
        append_event(run, "request.withdrawn", request.path, {"request": request.public_id})
        signal(run)
        announce(run)
        transaction.on_commit(inbox_changed)
    return True


def _asking() -> QuerySet[Request]:
    return Request.objects.filter(kind="budget", state__in=sorted(OPEN_REQUEST_STATES), terms__has_key="budget")


def _go_on(actor: Actor, budget_id: UUID) -> None:
    """Answers the runs that ask about this budget, once its change is there to be seen."""
    transaction.on_commit(lambda: _answer_all(actor, budget_id))


def _answer_all(actor: Actor, budget_id: UUID) -> None:
    for request in _asking().filter(terms__budget=budget_id.hex).order_by("id"):
        try:
            answer(request.id, revision=request.revision, state="approved", outcome="raise", by=actor.person)
        except Conflict:
            continue  # somebody decided meanwhile
