"""Retention from the command line: how long payloads and events are kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.models import Flow, RetentionRule
from orchestrator.management.speaking import whole_given
from orchestrator.management.verbs import VerbCommand
from orchestrator.retention.api import PreviewShape, RetentionList, flow_ruled, rule_shape
from orchestrator.retention.change_retention import change_retention, drop_rule
from orchestrator.retention.purge import purge_due
from orchestrator.retention.rules import preview, rule_of, rules


class Command(VerbCommand):
    help = "Say how long payloads and events of ended runs are kept, and what that removes."

    def add_verbs(self) -> None:
        self.verb("show", "the rules, the installation's first", shows=True)
        foretell = self.verb("preview", "what these days would remove now; changes nothing", shows=True)
        change = self.verb("set", "change the rule of the installation or of a flow; what is older goes within minutes")
        for each in (foretell, change):
            each.add_argument("--flow", help="slug; without it, all flows without a rule of their own")
            each.add_argument("--payloads", metavar="DAYS", help="`ever` keeps them; as it is, where it is left out")
            each.add_argument("--events", metavar="DAYS", help="`ever` keeps them; as it is, where it is left out")
        change.add_argument("--reason", default="")
        drop = self.verb("drop", "let a flow follow the installation's rule again")
        drop.add_argument("flow", help="slug")
        self.verb("purge", "remove now what is due, instead of within minutes")

    # --- what there is

    def do_show(self, actor: Actor, json: bool, **options: Any) -> None:
        require(actor, Right.MANAGE_SETTINGS)
        found = rules()
        if json:
            self.write_json(RetentionList, {"items": [rule_shape(rule) for rule in found]})
            return
        for rule in found or [rule_of(None)]:
            self.stdout.write(_line(rule))

    def do_preview(self, actor: Actor, json: bool, **options: Any) -> None:
        require(actor, Right.MANAGE_SETTINGS)
        flow, payload_days, event_days = _days(options)
        found = preview(flow, payload_days, event_days)
        if json:
            self.write_json(PreviewShape, asdict(found))
            return
        follows = f" The next would follow at {found.next_at:%Y-%m-%d %H:%M}Z." if found.next_at is not None else ""
        self.stdout.write(
            f"It would remove the payloads of {found.runs} runs with {found.calls} calls and {found.requests} requests, "
            f"{found.events} events, {found.deliveries} deliveries and {found.notices} messages.{follows} Nothing was changed."
        )

    # --- what people do

    def do_set(self, actor: Actor, reason: str, **options: Any) -> None:
        require(actor, Right.MANAGE_SETTINGS)
        flow, payload_days, event_days = _days(options)
        self.stdout.write(_line(change_retention(actor, flow, payload_days, event_days, reason)))

    def do_drop(self, actor: Actor, flow: str, **options: Any) -> None:
        require(actor, Right.MANAGE_SETTINGS)
        found = flow_ruled(flow)
        assert found is not None, "it was named"
        drop_rule(actor, found)
        self.stdout.write(f"{found.slug} follows the rule of the installation.")

    def do_purge(self, actor: Actor, **options: Any) -> None:
        require(actor, Right.MANAGE_SETTINGS)
        removed = 0
        while done := purge_due():
            removed += done
        self.stdout.write(f"What was due of {removed} runs and messages is removed.")


def _days(options: dict[str, Any]) -> tuple[Flow | None, int | None, int | None]:
    """The flow of a rule, and its days as they are or, where they are named, as they are to be. Raises `Invalid`, `CommandError`."""
    flow = flow_ruled(options["flow"])
    rule = rule_of(flow)
    payload_days = rule.payload_days if options["payloads"] is None else _number("--payloads", options["payloads"])
    event_days = rule.event_days if options["events"] is None else _number("--events", options["events"])
    return flow, payload_days, event_days


def _number(option: str, text: str) -> int | None:
    return None if text == "ever" else whole_given(option, text)


def _line(rule: RetentionRule) -> str:
    kept = (("payloads", rule.payload_days), ("events", rule.event_days))
    words = ", ".join(f"{what} {f'{days} days' if days is not None else 'for ever'}" for what, days in kept)
    by = f" (by {rule.changed_by.username}, {rule.changed_at:%Y-%m-%d})" if rule.changed_by is not None else ""
    return f"{rule.flow.slug if rule.flow is not None else 'all'}: {words}{by}"
