"""Making and changing a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.installation import look_up
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.costs.budgets import would_have_stopped
from flows.models import ApiKey, Budget, BudgetPeriod, Flow, ModelEntry, Person, Team
from flows.models.budgets import MEASURES, PERIODS, SCOPES

OF_RUNS = frozenset({"steps", "duration"})
MOST_OF_RUNS = 2**31
AT_LIMIT = ("stop", "pause", "cheaper", "finish", "notify")
MOST = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Wanted:
    """A budget as somebody wants it. Of the limits at least one is given; `zone` is whose days and months count. `steps` and
    `duration`, in seconds, are of single runs: they need the period `run`."""

    scope: str
    subject: str
    period: str
    cost: Decimal | None = None
    tokens: int | None = None
    calls: int | None = None
    at_limit: str = "stop"
    warn: Sequence[int] = field(default=(50, 80))
    zone: str = ""
    steps: int | None = None
    duration: int | None = None

    @property
    def limits(self) -> dict[str, Any]:
        """Each measure's limit; None where there is none."""
        return {name: getattr(self, name) for name in MEASURES}


def wanted_of(budget: Budget) -> Wanted:
    """The budget as it is, to be changed in parts."""
    limits: dict[str, Any] = {name: getattr(budget, name) for name in MEASURES}
    chosen: dict[str, Any] = {"at_limit": budget.at_limit, "warn": tuple(budget.warn), "zone": budget.zone}
    return Wanted(budget.scope, budget.subject, budget.period, **limits, **chosen)


def put_budget(actor: Actor, wanted: Wanted, reason: str = "") -> tuple[Budget, bool]:
    """Makes the budget, or changes the one of this scope and period; gives it and whether anything changed. Raising a limit needs a
    reason. Raises `Forbidden`, and `Invalid` naming each fault, such as a limit below what is spent already."""
    require(actor, Right.MANAGE_BUDGETS)
    faults = faults_of(wanted)
    if faults:
        raise Invalid("The budget cannot be used.", problems=faults)
    values = _values(wanted)
    with transaction.atomic():
        old = Budget.objects.select_for_update().filter(scope=wanted.scope, subject=wanted.subject, period=wanted.period).first()
        if old is None:
            budget = Budget.objects.create(
                scope=wanted.scope, subject=wanted.subject, period=wanted.period, owner=actor.person, **values
            )
            record_change(actor, "budget.create", "budget", budget.name, {"id": budget.id.hex} | _plain(values))
            return budget, True
        changed = {name: value for name, value in values.items() if getattr(old, name) != value}
        if not changed:
            return old, False
        faults = [*_too_low(old, changed), *_unexplained(old, changed, reason)]
        if faults:
            raise Invalid("The budget cannot be changed so.", problems=faults)
        before = {name: getattr(old, name) for name in changed}
        for name, value in changed.items():
            setattr(old, name, value)
        old.save(update_fields=list(changed))
        data = {"id": old.id.hex, "from": _plain(before), "to": _plain(changed), "reason": reason.strip()}
        record_change(actor, "budget.change", "budget", old.name, data)
        return old, True


def remove_budget(actor: Actor, budget_id: Any, reason: str) -> None:
    """Ends a budget with its history; the audit log keeps what it was. Raises `Forbidden`, `NotFound`, and `Invalid` without a
    reason."""
    require(actor, Right.MANAGE_BUDGETS)
    if not reason.strip():
        raise Invalid("The budget was not removed.", problems=[Fault("reason", "is needed", "Say why the budget ends.")])
    with transaction.atomic():
        budget = Budget.objects.select_for_update().filter(id=budget_id).first()
        if budget is None:
            raise NotFound("budget")
        record_change(actor, "budget.remove", "budget", budget.name, {"id": budget.id.hex, "reason": reason.strip()})
        budget.delete()


def preview_budget(actor: Actor, wanted: Wanted) -> int | None:
    """How many runs of the last 30 days this budget would have stopped; None where it limits no money. Changes nothing. Raises
    `Forbidden`, and `Invalid` naming each fault."""
    require(actor, Right.MANAGE_BUDGETS)
    faults = faults_of(wanted)
    if faults:
        raise Invalid("The budget cannot be used.", problems=faults)
    if wanted.cost is None:
        return None
    return would_have_stopped(wanted.scope, wanted.subject, wanted.period, wanted.zone or look_up().zone, wanted.cost)


def faults_of(wanted: Wanted) -> list[Fault]:
    """What is wrong with the budget by itself."""
    faults = []
    if wanted.scope not in SCOPES:
        faults.append(Fault("scope", f"{wanted.scope[:40]!r} is unknown", f"Choose of: {', '.join(SCOPES)}."))
    elif not _exists(wanted.scope, wanted.subject):
        faults.append(Fault("subject", f"there is no {wanted.scope} {wanted.subject[:80]!r}", "Name one that exists."))
    if wanted.period not in PERIODS:
        faults.append(Fault("period", f"{wanted.period[:40]!r} is unknown", f"Choose of: {', '.join(PERIODS)}."))
    if wanted.at_limit not in AT_LIMIT:
        faults.append(Fault("at_limit", f"{wanted.at_limit[:40]!r} is unknown", f"Choose of: {', '.join(AT_LIMIT)}."))
    if wanted.scope in ("run", "step") and wanted.period != "run":
        faults.append(Fault("period", f"a budget of any single {wanted.scope} holds in each run", "Choose the period run."))
    if wanted.scope == "all" and wanted.period == "run":
        faults.append(Fault("scope", "what any single run may use has a scope of its own", "Choose the scope run."))
    limits = {name: limit for name, limit in wanted.limits.items() if limit is not None}
    if not limits:
        faults.append(
            Fault("cost", "no limit is given", "Give an amount of money, tokens, calls, or for single runs steps or time.")
        )
    for name, limit in limits.items():
        least = 1 if name in OF_RUNS else 0
        if not Decimal(limit).is_finite() or not least <= limit < (MOST_OF_RUNS if name in OF_RUNS else MOST * 10**6):
            faults.append(Fault(name, f"{limit} is no limit", f"Give {least} or more."))
    if (wanted.period != "run" or wanted.scope in ("model", "step")) and limits.keys() & OF_RUNS:
        name = "steps" if "steps" in limits else "duration"
        faults.append(
            Fault(name, "is a limit of single runs", "Choose the period run, and another scope than a model or a step.")
        )
    if any(not isinstance(each, int) or not 0 < each < 100 for each in wanted.warn):
        faults.append(Fault("warn", "shares are whole percents from 1 to 99", "Write 50, 80."))
    try:
        ZoneInfo(wanted.zone or look_up().zone)
    except (ValueError, KeyError, OSError):
        faults.append(Fault("zone", f"{wanted.zone[:40]!r} is no time zone", "Write Europe/Madrid, or leave it empty."))
    return faults


def _exists(scope: str, subject: str) -> bool:
    if scope == "all":
        return subject == ""
    if scope == "tag":
        return bool(subject)
    if scope in ("run", "step"):
        flow, _, step = subject.partition("/")
        if step and scope == "run":
            return False
        return not subject or Flow.objects.filter(slug=flow).exists()
    if scope == "key":
        return ApiKey.objects.filter(id=subject).exists() if len(subject) in (32, 36) else False
    table, column = {
        "flow": (Flow, "slug"),
        "team": (Team, "slug"),
        "person": (Person, "username"),
        "model": (ModelEntry, "slug"),
    }[scope]
    return table._default_manager.filter(**{column: subject}).exists()


def _values(wanted: Wanted) -> dict[str, Any]:
    return {
        **wanted.limits,
        "zone": wanted.zone or look_up().zone,
        "at_limit": wanted.at_limit,
        "warn": sorted(set(wanted.warn)),
    }


def _too_low(budget: Budget, changed: Mapping[str, Any]) -> list[Fault]:
    now = timezone.now()
    current = BudgetPeriod.objects.select_for_update().filter(budget=budget, begins__lte=now, ends__gt=now).first()
    if current is None or budget.period == "run":
        return []
    used = {
        "cost": current.spent + current.reserved,
        "tokens": current.spent_tokens + current.reserved_tokens,
        "calls": current.spent_calls + current.reserved_calls,
    }
    return [
        Fault(name, f"{changed[name]} is less than what this {budget.period} has used", f"Give at least {used[name]}.")
        for name in used
        if changed.get(name) is not None and changed[name] < used[name]
    ]


def _unexplained(budget: Budget, changed: Mapping[str, Any], reason: str) -> list[Fault]:
    raised = [
        name
        for name in MEASURES
        if name in changed
        and getattr(budget, name) is not None
        and (changed[name] is None or changed[name] > getattr(budget, name))
    ]
    return [Fault("reason", "raising a limit needs a reason", "Say why.")] if raised and not reason.strip() else []


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: f"{value:f}" if isinstance(value, Decimal) else value for name, value in values.items()}
