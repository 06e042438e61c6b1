"""A run's limits while it lives: what they may be raised to, by whom, and how they are raised.

The *ceiling* of a run is what the flow allows: the limits of its published version (of the run's own, where none is published), and
the ceiling that was set on the flow, whichever is lower. Up to it whoever controls runs may raise a limit; above it only somebody who
may raise limits, and never the person who started the run. Above what a budget allows each single run nobody raises a run; whoever
manages budgets changes the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from pydantic import ValidationError

from flows.access.actor import Actor
from flows.access.installation import money
from flows.access.querysets import belonging
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right
from flows.costs.actions.put_budget import OF_RUNS
from flows.costs.ceilings import ceiling_of_budgets
from flows.engine.document import Limits
from flows.engine.explaining import model_problems
from flows.models import Flow, Run
from flows.runs.documents import document_of, documents_of

COLUMNS = {"cost": "cap_cost", "tokens": "cap_tokens", "steps": "cap_steps"}


class AboveCeiling(Forbidden):
    """The flow's own limit is lower."""

    slug = "above-ceiling"

    def __init__(self, which: str, ceiling: Any, own: bool) -> None:
        why = (
            "and nobody raises a run of their own above it"
            if own
            else f"and raising above it needs the right {Right.RAISE_LIMITS.value!r}"
        )
        super().__init__(Right.RAISE_LIMITS, f"The flow's own limit is {in_words(which, ceiling)}, {why}.")


class AboveBudget(Forbidden):
    """A budget allows each single run less."""

    slug = "above-budget"

    def __init__(self, which: str, ceiling: int) -> None:
        limit = f"{ceiling:,} seconds" if which == "duration" else in_words(which, ceiling)
        super().__init__(Right.MANAGE_BUDGETS, f"A budget allows each run {limit}: only an owner may change it.")


def limits_given(limits: Mapping[str, Any] | None) -> Limits:
    """Limits as somebody wrote them. Raises `Invalid` naming each place."""
    try:
        return Limits.model_validate(dict(limits or {}))
    except ValidationError as error:
        problems = [
            Fault(problem.path, problem.message, problem.mend) for problem in model_problems(error, Limits, {}, ("limits",))
        ]
        raise Invalid("The limits cannot be used.", problems=problems) from None


def ceiling_of(run: Run) -> dict[str, Any]:
    """What the flow allows its runs: of its published limits and of the ceiling that was set on it the lower. The run's flow should
    be loaded."""
    published = document_of(run.flow.published_id or run.version_id).limits or Limits()
    both = [wanted_of(published), wanted_of(Limits.model_validate(run.flow.ceiling))]
    return {which: min(each[which] for each in both if which in each) for which in {*both[0], *both[1]}}


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """What one flow allows each run: by its published document, and by the ceiling that was set on it."""

    flow: Flow
    own: dict[str, Any]
    ceiling: dict[str, Any]
    at_limit: str
    steps: dict[str, dict[str, Any]]
    """Limits of single steps, by their keys."""


def limits_of_flows(actor: Actor, most: int = 200) -> list[FlowLimits]:
    """The published flows that the actor may see the costs of and that limit their runs, by name: two queries."""
    flows = Flow.objects.filter(belonging(actor.holdings, Right.SEE_COSTS), published__isnull=False, archived_at__isnull=True)
    chosen = list(flows.only("slug", "name", "ceiling", "published_id").order_by("name")[:most])
    published = {flow.published_id: flow for flow in chosen if flow.published_id is not None}
    documents = documents_of(published)
    found = []
    for version, flow in published.items():
        document = documents[version]
        limits = document.limits or Limits()
        steps = {key: wanted_of(step.limits) for key, step in document.steps.items() if step.limits is not None}
        row = FlowLimits(flow, wanted_of(limits), wanted_of(Limits.model_validate(flow.ceiling)), limits.at_limit, steps)
        if row.own or row.ceiling or any(steps.values()):
            found.append(row)
    return found


def wanted_of(limits: Limits) -> dict[str, Any]:
    """Those of the limits that are named: dollars, tokens, steps, and seconds for the duration."""
    wanted = {name: getattr(limits, name) for name in COLUMNS if getattr(limits, name) is not None}
    if limits.duration is not None:
        wanted["duration"] = limits.duration.seconds
    return wanted


def require_raise(actor: Actor, run: Run, wanted: Mapping[str, Any], ceiling: Mapping[str, Any] | None = None) -> None:
    """Passes if the actor may raise the run's limits so far. Raises `Forbidden` naming the right, and `AboveCeiling`."""
    team = run.flow.team_id
    if not (actor.holdings.allow(Right.CONTROL_RUNS, team) or actor.holdings.allow(Right.RAISE_LIMITS, team)):
        raise Forbidden(Right.RAISE_LIMITS)
    allowed = ceiling_of(run) if ceiling is None else ceiling
    budgeted = ceiling_of_budgets(run) if ceiling is None and OF_RUNS & wanted.keys() else {}
    own = actor.person is not None and run.started_by_id == actor.person.id
    for which, amount in wanted.items():
        above = which in allowed and amount > allowed[which]
        if above and (own or not actor.holdings.allow(Right.RAISE_LIMITS, team)):
            raise AboveCeiling(which, allowed[which], own)
        if which in budgeted and amount > budgeted[which]:
            raise AboveBudget(which, budgeted[which])


def refuse_too_low(run: Run, wanted: Mapping[str, Any]) -> None:
    """Raises `Invalid` naming each limit that would not be higher than it is, or than what is spent."""
    faults = []
    used = {"cost": run.spent + run.reserved, "tokens": run.spent_tokens + run.reserved_tokens, "steps": run.steps}
    for which, amount in wanted.items():
        if which == "duration":
            now = timezone.now()
            if run.deadline is None:
                faults.append(Fault("duration", "the run has no limit of this kind", "Leave it out."))
            elif _deadline(run, amount) <= max(now, run.deadline):
                faults.append(Fault("duration", "does not move the run's deadline to a later time", "Give a longer one."))
            continue
        cap = getattr(run, COLUMNS[which])
        if cap is None:
            faults.append(Fault(which, "the run has no limit of this kind", "Leave it out."))
        elif amount <= used[which]:
            mend = f"Give more than the {in_words(which, used[which])} that are spent or reserved."
            faults.append(Fault(which, f"{in_words(which, amount)} is less than what is used", mend))
        elif amount <= cap:
            faults.append(
                Fault(which, f"{in_words(which, amount)} is not more than now", f"It is {in_words(which, cap)}; give more.")
            )
    if faults:
        raise Invalid("The limits cannot be raised so.", problems=faults)


def set_limits(run: Run, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the new limits of a run whose row is locked; gives what they were and are, for the audit log."""
    changed: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for which, amount in wanted.items():
        if which == "duration":
            changed["deadline"] = {"from": _iso(run.deadline), "to": _iso(_deadline(run, amount))}
            values["deadline"] = run.deadline = _deadline(run, amount)
            continue
        column = COLUMNS[which]
        changed[which] = {"from": shown(getattr(run, column)), "to": shown(amount)}
        values[column] = amount
        setattr(run, column, amount)
    Run.objects.filter(id=run.id).update(**values)
    return changed


def choose(run: Run, choice: str) -> None:
    """From now on the run, whose row is locked, does this at its limits: cheaper | finish | stop."""
    run.at_limit, run.saving = choice, run.saving or choice == "cheaper"
    Run.objects.filter(id=run.id).update(at_limit=run.at_limit, saving=run.saving)


def _deadline(run: Run, seconds: float) -> datetime:
    begun = run.passes.filter(number=run.pass_number).values_list("at", flat=True).first() if run.pass_number > 1 else None
    return (begun or run.created_at) + timedelta(seconds=seconds)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def shown(value: Any) -> Any:
    """Money as text, so that nothing of it is lost."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def in_words(which: str, value: Any) -> str:
    """An amount of a limit: $0.50, 1,200 tokens."""
    if which != "cost":
        return f"{value:,} {which}"
    amount = Decimal(value).normalize()
    return money(f"{amount:.2f}" if amount == round(amount, 2) else f"{amount:f}")
