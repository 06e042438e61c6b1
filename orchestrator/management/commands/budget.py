"""Budgets from the command line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser

from flows.access.actor import Actor
from flows.access.refusals import NotFound
from flows.access.rights import Right, require, require_somewhere
from flows.api.budgets import BudgetsShape, PeriodList, budget_shape, limits_shape, period_shape
from flows.api.shapes import money_text
from flows.costs.actions.put_budget import AT_LIMIT, Wanted, preview_budget, wanted_of
from flows.costs.budgets import Gauge, gauges, history_of, limits_in_words, stuck_holds
from flows.engine.durations import Duration
from flows.models import Budget
from flows.models.budgets import PERIODS, SCOPES, name_of
from flows.models.identifiers import shown
from flows.runs.actions.change_budget import change_budget, drop_budget
from flows.runs.actions.release_hold import release_hold
from flows.runs.limits import limits_of_flows
from orchestrator.management.speaking import amount_given, whole_given
from orchestrator.management.verbs import VerbCommand
from orchestrator.templatetags.numbers import money_run

OF_SINGLE_RUNS = ("run", "step")


class Command(VerbCommand):
    help = "List, make, change and remove budgets, and tell what was used of them."

    def add_verbs(self) -> None:
        listing = self.verb("list", "what may be spent, what is, and what flows allow each run", shows=True)
        listing.add_argument("--at-risk", action="store_true", help="only those that are near their limit, or will pass it")
        wanted = self.one("set", "make a budget, or change what is named of the one that is there")
        wanted.add_argument("--cost", help="dollars; `none` takes this limit away, as with those below")
        wanted.add_argument("--tokens")
        wanted.add_argument("--calls")
        wanted.add_argument("--steps", help="that a run may take; with the period run")
        wanted.add_argument("--duration", help="that a run may take, such as 2h; with the period run")
        wanted.add_argument("--at-limit", choices=AT_LIMIT)
        wanted.add_argument("--warn", help="shares of the limit that are noted, in percent, such as 50,80")
        wanted.add_argument("--zone", help="whose days count, such as Europe/Madrid")
        wanted.add_argument("--reason", default="", help="needed to raise a limit")
        wanted.add_argument("--preview", action="store_true", help="say what it would have stopped, and change nothing")
        remove = self.one("remove", "end a budget; runs that ask about it go on")
        remove.add_argument("--reason", default="", help="needed; it stands in the audit log")
        self.one("history", "what was used in its last periods, or runs", shows=True)
        self.verb("holds", "what is held for calls that nothing ends by itself")
        release = self.verb("release", "end such a hold")
        release.add_argument("hold", help="its number")
        release.add_argument("--reason", default="", help="why it is stuck")

    def one(self, name: str, words: str, **options: Any) -> CommandParser:
        """A verb on the budget of one scope and period."""
        parser = self.verb(name, words, **options)
        parser.add_argument("scope", choices=SCOPES)
        parser.add_argument("subject", nargs="?", default="", help="which of them; none for all, any run or any step")
        parser.add_argument("--period", choices=PERIODS, help="month, or run with the scopes run and step, where none is said")
        return parser

    # --- what there is

    def do_list(self, actor: Actor, at_risk: bool, json: bool, **options: Any) -> None:
        require_somewhere(actor, Right.SEE_COSTS)
        found = [gauge for gauge in gauges() if gauge.at_risk or not at_risk]
        flows = [] if at_risk else limits_of_flows(actor)
        if json:
            answer = {"items": [budget_shape(gauge) for gauge in found], "flows": [limits_shape(each) for each in flows]}
            self.write_json(BudgetsShape, answer)
            return
        for gauge in found:
            self.stdout.write(f"{_line(gauge)}; at the limit {gauge.budget.at_limit}")
        for flow in flows:
            for whose, limits in (("its document", flow.own), ("its ceiling", flow.ceiling)):
                if limits:
                    words = ", ".join(f"{name} {value}" for name, value in limits.items())
                    self.stdout.write(f"each run of {flow.flow.slug}, by {whose}: {words}")

    def do_history(self, actor: Actor, scope: str, subject: str, period: str | None, json: bool, **options: Any) -> None:
        require(actor, Right.MANAGE_BUDGETS)
        found = history_of(_named(scope, subject, period))
        if json:
            self.write_json(PeriodList, {"items": [period_shape(each) for each in found]})
            return
        for each in found:
            whose = f" {shown('run', each.run_id)} {each.path}".rstrip() if each.run_id else ""
            unknown = f" and {each.unpriced} of unknown cost" if each.unpriced else ""
            noted = f", noted at {each.noted_ever} %" if each.noted_ever else ""
            self.stdout.write(
                f"{each.begins:%Y-%m-%d %H:%M}Z{whose}: spent {money_text(each.spent)}, reserved {money_text(each.reserved)}, "
                f"{each.spent_calls} calls{unknown}{noted}"
            )

    def do_holds(self, actor: Actor, **options: Any) -> None:
        require(actor, Right.MANAGE_BUDGETS)
        for each in stuck_holds():
            hold = each.hold
            why = "its call has ended" if each.ended else "its call was never written"
            self.stdout.write(
                f"{hold.id}: {money_text(hold.reserved)} of {hold.period.budget.name}, since {hold.at:%Y-%m-%d %H:%M}Z, for "
                f"{shown('run', hold.run_id)}; {why}"
            )

    # --- what people do

    def do_set(
        self, actor: Actor, scope: str, subject: str, period: str | None, reason: str, preview: bool, **options: Any
    ) -> None:
        period = _period(scope, period)
        old = Budget.objects.filter(scope=scope, subject=subject, period=period).first()
        known = wanted_of(old) if old is not None else Wanted(scope, subject, period)
        wanted = replace(known, **_given(options))
        if preview:
            runs = preview_budget(actor, wanted)
            self.stdout.write(
                "Without a limit of money nothing can be said of the past."
                if runs is None
                else f"It would have stopped {runs} runs in the last 30 days. Nothing was changed."
            )
            return
        budget, changed = change_budget(actor, wanted, reason)
        self.stdout.write(f"{budget.name}: {limits_in_words(budget)}" if changed else f"{budget.name}: nothing to change.")

    def do_remove(self, actor: Actor, scope: str, subject: str, period: str | None, reason: str, **options: Any) -> None:
        budget = _named(scope, subject, period)
        drop_budget(actor, budget.id, reason)
        self.stdout.write(f"The budget {budget.name} was removed.")

    def do_release(self, actor: Actor, hold: str, reason: str, **options: Any) -> None:
        released = release_hold(actor, whole_given("hold", hold), reason)
        self.stdout.write(f"Released what was held in the budget {released.period.budget.name}.")


def _named(scope: str, subject: str, period: str | None) -> Budget:
    found = Budget.objects.filter(scope=scope, subject=subject, period=_period(scope, period)).first()
    if found is None:
        raise NotFound(f"budget {name_of(scope, subject, _period(scope, period))!r}")
    return found


def _period(scope: str, given: str | None) -> str:
    return given or ("run" if scope in OF_SINGLE_RUNS else "month")


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """What was named of the budget. Raises `CommandError`."""
    given: dict[str, Any] = {name: options[name] for name in ("at_limit", "zone") if options[name] is not None}
    for name in ("cost", "tokens", "calls", "steps", "duration"):
        if options[name] is not None:
            given[name] = None if options[name] == "none" else _limit(name, options[name])
    if options["warn"] is not None:
        shares = [each.strip().removesuffix("%").strip() for each in options["warn"].split(",") if each.strip()]
        given["warn"] = tuple(whole_given("--warn", each) for each in shares)
    return given


def _limit(name: str, text: str) -> Any:
    if name == "cost":
        return amount_given("--cost", text)
    if name != "duration":
        return whole_given(f"--{name}", text)
    try:
        return int(Duration(text).seconds)
    except ValueError as error:
        raise CommandError(f"--duration: {error}. Write 30m, 4h or 2d.") from None


def _line(gauge: Gauge) -> str:
    budget = gauge.budget
    said = f"{budget.name}: {limits_in_words(budget)}"
    if budget.period == "run":
        return said
    projected = f", about {money_run(gauge.projected)} projected" if gauge.projected is not None else ""
    return f"{said}; spent {money_text(gauge.spent)}, reserved {money_text(gauge.reserved)}{projected}"
