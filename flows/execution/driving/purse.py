"""The purse of one run in memory: which calls found no room, and what happens at a limit.

Whether a call fits is judged in PostgreSQL, where the caps stand (`WRITE` in `flows/execution/journal.py`), so a cap that somebody
raises meanwhile counts at once. Here is kept who was refused. A call that found no room may find some when another one settles;
the limit is reached when nothing is in flight that could make room and none of the refused fits alone. Then `at_limit` says:

- ``stop``: the run ends as `budget_stopped`;
- ``pause``: people are asked; the refused steps are put back, everything else goes on, and the run parks when nothing is left;
- ``cheaper``: from then on only those candidates of a route are called that are cheaper than its first;
- ``finish``: nothing new begins, and the run ends with its output from what there is.

What people decide is written into the run's row (or, for a step's own limit, stays in the answered request), so a run that is taken
up again simply tries once more: what still finds no room is put back again, and nothing is asked twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from flows.access.installation import money
from flows.engine.agents import conversation_around
from flows.engine.document import Limits
from flows.engine.failures import BoundReached, BudgetSpent, TooDear
from flows.engine.paths import is_inside
from flows.execution.budgets import PeriodRow, Reached
from flows.execution.claims import RequestRow
from flows.execution.context import Ask, Intent, OpenCall, StepContext
from flows.execution.driving.allowances import Allowances
from flows.execution.driving.desk import Desk
from flows.execution.driving.sheet import Wish
from flows.execution.jsontext import load
from flows.execution.saying import said
from flows.execution.spending import Spending

log = logging.getLogger(__name__)

RUN = ""
"""Where a question about the run's own limits stands, in place of a step's path."""

OPEN = frozenset({"pending", "info_requested"})

CHOICES = {"raise": "approve", "cheaper": "approve", "finish": "approve", "stop": "reject"}
"""What may be decided at a limit, and what it means."""


class HeldBack(Exception):
    """The step does not begin now: a limit has no room for its call."""


@dataclass(slots=True)
class Purse:
    """The refused calls of a run, the steps that were put back, and the questions that are open."""

    desk: Desk
    allowances: Allowances
    saving: bool = False  # only cheaper candidates from now on
    refused: list[Wish] = field(default_factory=list)
    held: set[str] = field(default_factory=set)  # paths of steps that wait for money
    questions: set[str] = field(default_factory=set)  # the paths of open questions about money
    preparing: int = 0  # questions whose figures are being read
    _flying: set[UUID] = field(default_factory=set)  # calls in flight that may make room when they settle
    _raised: dict[str, dict[str, Any]] = field(default_factory=dict)  # path of a step → its limit as it was raised
    _chosen: dict[str, str] = field(default_factory=dict)  # path of a step → what people chose for it instead of more

    # ------------------------------------------------------------------ calls

    def began(self, call: OpenCall) -> None:
        if call.intent.reserve or call.intent.reserve_tokens or not call.intent.priced:
            self._flying.add(call.id)

    def settled(self, call: OpenCall) -> None:
        self._flying.discard(call.id)

    def turn_away(self, wish: Wish, reason: str, *, alone: bool) -> None:
        """A cap had no room for it; `alone` says that no other refused call stood in front of it."""
        wish.reason, wish.alone = reason, alone
        self.refused.append(wish)

    def again(self) -> list[Wish]:
        """Something settled: all that was refused, the smallest in front."""
        if not self.refused:
            return []
        refused, self.refused = self.refused, []
        for wish in refused:
            wish.alone = False
        return sorted((wish for wish in refused if not wish.verdict.done()), key=lambda wish: wish.size)

    def next_alone(self) -> list[Wish]:
        """Where nothing in flight can make room: what was refused, with one in front that has not been judged alone yet and is not
        at least as large as one that was. Empty where none is left; then the limit is reached."""
        if not self.refused:
            return []
        self.refused = [wish for wish in self.refused if not wish.verdict.done()]
        if self._flying or not self.refused:
            return []
        judged = [wish for wish in self.refused if wish.alone]
        for wish in self.refused:
            if not wish.alone and not any(_covers(wish, small) for small in judged):
                rest = [other for other in self.refused if other is not wish and not other.alone]
                self.refused = judged
                return [wish, *rest]
        self._reached()
        return []

    # ------------------------------------------------------------------ the run's limits

    def _reached(self) -> None:
        refused, self.refused = self.refused, []
        at_limit = self.desk.run.at_limit
        reason = refused[0].reason
        if at_limit == "pause":
            self._hold(refused, reason)
        elif at_limit == "finish":
            self.desk.planner.stop("succeeded", "limited", otherwise=reason)
            for wish in refused:
                wish.fail(HeldBack())
        elif at_limit == "cheaper" and not any(self._spared(wish) for wish in refused):
            if not self.saving:
                self.saving = True
                self.desk.sheet.note("run.saving", RUN, {"limit": reason})
                self.desk.sheet.save()
            for wish in refused:
                wish.fail(TooDear(self._no_room(wish), limit=reason))
        else:
            self.desk.planner.stop("budget_stopped", reason)
            for wish in refused:
                wish.fail(BudgetSpent(self._no_room(wish)))

    def _spared(self, wish: Wish) -> bool:
        """Nothing cheaper can stand in for it."""
        return wish.intent.kind != "model" or wish.intent.spared

    def _hold(self, refused: list[Wish], reason: str) -> None:
        smallest = min(refused, key=lambda wish: wish.size)
        for wish in refused:
            self.held.add(wish.context.path)
            wish.fail(HeldBack())
        needed: Any = smallest.intent.reserve_tokens if reason == "tokens" else smallest.intent.reserve
        cap = self.desk.run.cap_tokens if reason == "tokens" else self.desk.run.cap_cost
        self._ask(RUN, reason, cap, needed, None)

    def out_of_steps(self) -> None:
        """Asks where the next step is one more than the run, or a container, may take."""
        planner, run = self.desk.planner, self.desk.run
        for path, tasks in planner.out_of_steps.items():
            if path == RUN:
                self._ask(RUN, "steps", run.cap_steps, 1, None)
            else:
                owner = next(owner for owner in tasks[0].frame.counted if owner.path == path)
                caps = [limits.steps for limits in owner.limits if limits.steps is not None]
                self._ask(path, "steps", planner.raised.get(path, min(caps)), 1, owner.taken)

    def _no_room(self, wish: Wish) -> str:
        run = self.desk.run
        if wish.reason == "tokens":
            return f"The run's limit of {run.cap_tokens:,} tokens has no room for another call of up to {wish.size[1]:,}."
        cap, reserve = (run.cap_cost or Decimal(0)).normalize(), wish.size[0].normalize()
        return f"The run's limit of {money(f'{cap:f}')} has no room for another call of up to {money(f'{reserve:f}')}."

    # ------------------------------------------------------------------ limits of a step or a container

    def heed_step_limit(self, context: StepContext, intent: Intent) -> None:
        """Passes where the step's own limits have room for the call, else does what they say; then the call does not begin."""
        limits, past = context.node.limits, context.past
        if limits is None:
            return
        own = self._raised.get(context.path, {})
        cost, tokens = own.get("cost", limits.cost), own.get("tokens", limits.tokens)
        path = context.path
        if cost is not None and past.spent + intent.reserve > cost:
            self._own_reached(path, path, intent, limits, "cost", cost, past.spent, intent.reserve)
        if tokens is not None and past.tokens + intent.reserve_tokens > tokens:
            self._own_reached(path, path, intent, limits, "tokens", tokens, past.tokens, intent.reserve_tokens)

    async def heed_limits_around(self, path: str, intent: Intent) -> None:
        """The same for the limits of the containers that the step stands in. Waits while calls in flight there may make room."""
        while (short := self.allowances.short(path, intent, self._raised)) is not None:
            if short.used.reserved:
                await short.used.settled.wait()
            else:
                self._own_reached(path, short.path, intent, short.limits, short.which, short.cap, short.spent, short.needed)

    def left_of(self, path: str) -> tuple[Decimal | None, int | None]:
        """Dollars and tokens that are left of the limits that stand at `path`, as people may have raised them."""
        return self.allowances.left_of(path, self._raised)

    def _own_reached(
        self, step: str, path: str, intent: Intent, limits: Limits, which: str, cap: Any, spent: Any, needed: Any
    ) -> None:
        """The limit that stands at `path`, which is the step's own or a container's around it, has no room for the step's call."""
        message = (
            f"The limit of {_amount(which, cap)} of step {path} has no room for this call: {_amount(which, spent)} are spent, "
            f"{_amount(which, needed)} would be reserved."
        )
        reason = f"{which} of {path}"[:60]
        at_limit = self._chosen.get(path, limits.at_limit)
        agent = path != step and conversation_around(step) == path
        if agent and at_limit in {"finish", "stop"}:
            raise BoundReached(message, which=which)  # the agent's own end, not the run's
        if at_limit == "pause":
            self.held.add(step)
            self._ask(path, which, cap, needed, spent)
            raise HeldBack
        if at_limit == "finish":
            self.desk.planner.stop("succeeded", "limited", otherwise=reason)
            raise HeldBack
        if at_limit == "cheaper" and intent.kind == "model" and not intent.spared:
            raise TooDear(message, limit=reason)
        if agent:
            raise BoundReached(message, which=which)
        self.desk.planner.stop("budget_stopped", reason)
        raise BudgetSpent(message)

    # ------------------------------------------------------------------ budgets of periods

    def heed_budget(self, path: str, reached: Reached, intent: Intent) -> NoReturn:
        """Does what a budget says that has no room for the call of the step at `path`. The call does not begin."""
        reason = f"budget {reached.period.name}"[:60]
        at_limit = reached.at_limit
        if at_limit == "pause":
            at_limit = "cheaper" if self.saving and not intent.spared else self._chosen.get(RUN, "pause")
        if at_limit == "pause":
            self.held.add(path)
            spent, limit = reached.period.used_and_limit(reached.which)
            needed = {"cost": intent.reserve, "tokens": intent.reserve_tokens}.get(reached.which, 1)
            self._ask(RUN, reached.which, limit, needed, spent, reached.period)
            raise HeldBack
        if at_limit == "finish":
            self.desk.planner.stop("succeeded", "limited", otherwise=reason)
            raise HeldBack
        if at_limit == "cheaper" and intent.kind == "model" and not intent.spared:
            raise TooDear(reached.message, limit=reason)
        self.desk.planner.stop("budget_stopped", reason)
        raise BudgetSpent(reached.message)

    # ------------------------------------------------------------------ asking

    def _ask(self, path: str, which: str, cap: Any, needed: Any, spent: Any, period: PeriodRow | None = None) -> None:
        if path not in self.questions:
            self.questions.add(path)
            self.preparing += 1
            self.desk.engine.spawn(self._prepare(path, which, cap, needed, spent, period))

    async def _prepare(self, path: str, which: str, cap: Any, needed: Any, spent: Any, period: PeriodRow | None) -> None:
        desk = self.desk
        try:
            figures = await desk.engine.spending_of(desk.run.id)
        except (psycopg.Error, PoolTimeout, OSError) as error:
            log.warning("run %s: its figures cannot be read: %s", desk.run.id, said(error))
            figures = Spending()
        finally:
            self.preparing -= 1
        limit: dict[str, Any] = {"of": "step" if path else "run", "which": which, "amount": _plain(cap)}
        whose = f"Step {path}" if path else f"Run #{desk.run.number}"
        title = f"{whose} has reached its limit on {which}"  # without the amount: who may not see costs reads it, too
        left_out = {"cheaper"} if which == "steps" or (period is not None and self.saving) else set()
        choices = {name: means for name, means in CHOICES.items() if name not in left_out}
        terms: dict[str, Any] = {"outcomes": choices, "order": list(choices), "which": which}
        if period is not None:
            limit |= {"of": "budget", "name": period.name}
            title = f"{whose} has no room in the budget {period.name}"
            terms |= {"budget": period.budget.hex, "ends": period.ends.isoformat()}
        payload = {
            "limit": limit,
            "spent": _plain(figures.of(which) if spent is None else spent),
            "needed": _plain(needed),
            "by_step": figures.by_step,
            "expected": figures.expected,
        }
        if not desk.dropped:
            desk.asked = True
            desk.sheet.note("request.asked", path, desk.sheet.ask(path, Ask("budget", title, payload, terms)))
            desk.schedule()

    # ------------------------------------------------------------------ what people said

    def hear(self, newest: Iterable[RequestRow]) -> None:
        """Takes up the newest question of each path and what was answered."""
        for row in newest:
            if row.kind != "budget":
                continue
            if row.state in OPEN:
                self.questions.add(row.path)
                continue
            self.questions.discard(row.path)
            if row.state == "withdrawn":
                continue
            if row.path == RUN:  # the rest of the answer stands in the run's row, or in the budget's
                self._chosen[RUN] = row.outcome if row.outcome in {"finish", "stop"} else "pause"
                continue
            if row.outcome == "raise":
                asked, answer = load(row.payload), load(row.answer)
                which = asked["limit"]["which"]
                amount = Decimal(answer["limit"]) if which == "cost" else int(answer["limit"])
                self._raised.setdefault(row.path, {})[which] = amount
                if which == "steps":
                    self.desk.planner.raised[row.path] = int(amount)
                self._chosen.pop(row.path, None)
            else:
                self._chosen[row.path] = self.desk.planner.chosen[row.path] = row.outcome

    def release(self) -> list[str]:
        """The steps that were put back and may try again."""
        held, self.held = sorted(self.held), set()
        return held

    def moot(self) -> list[str]:
        """Open questions of steps that will not run any more: their branch has failed."""
        if not (self.held or self.questions):
            return []
        planner = self.desk.planner
        self.held = {path for path in self.held if planner.wants(path)}
        if self.preparing:
            return []
        gone = [path for path in self.questions if path != RUN and not self._holds(path) and not planner.wants(path)]
        self.questions.difference_update(gone)
        return gone

    def _holds(self, path: str) -> bool:
        """Whether the step at `path`, or one inside it, waits for money."""
        if path in self.desk.planner.out_of_steps:
            return True
        return path in self.held or any(is_inside(held, path) for held in self.held)


def _covers(wish: Wish, small: Wish) -> bool:
    return wish.size[0] >= small.size[0] and wish.size[1] >= small.size[1]


def _amount(which: str, value: Any) -> str:
    if which == "cost":
        return money(f"{Decimal(value).normalize():f}")
    return f"{value:,} {which}"


def _plain(value: Any) -> Any:
    """Money as text, so that nothing of it is lost."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value
