"""Saying how long payloads and events are kept."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.utils import timezone

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.models import Flow, RetentionRule
from orchestrator.retention.rules import LONGEST, rule_of


def change_retention(
    actor: Actor, flow: Flow | None, payload_days: int | None, event_days: int | None, reason: str = ""
) -> RetentionRule:
    """From now on payloads and events of ended runs are removed after so many days (None: never): of this flow's, or, without a flow,
    of all that have no rule of their own. What was removed does not come back. Raises `Forbidden`, `Invalid`.
    """
    require(actor, Right.MANAGE_SETTINGS)
    faults = list(_faults(payload_days, event_days))
    if faults:
        raise Invalid("Nothing was changed.", problems=faults)
    with transaction.atomic():
        rule = rule_of(flow)
        before = {"payload_days": rule.payload_days, "event_days": rule.event_days}
        after = {"payload_days": payload_days, "event_days": event_days}
        RetentionRule.objects.update_or_create(
            flow=flow, defaults={**after, "changed_by": actor.person, "changed_at": timezone.now()}
        )
        facts = {"before": before, "after": after, "reason": reason[:300]}
        record_change(actor, "retention.change", "retention", flow.slug if flow is not None else "all", facts)
    return rule_of(flow)


def drop_rule(actor: Actor, flow: Flow) -> bool:
    """The flow follows the installation's rule again; False where it did. Raises `Forbidden`."""
    require(actor, Right.MANAGE_SETTINGS)
    with transaction.atomic():
        gone, _ = RetentionRule.objects.filter(flow=flow).delete()
        if gone:
            record_change(actor, "retention.change", "retention", flow.slug, {"after": "as the installation"})
    return bool(gone)


def _faults(payload_days: int | None, event_days: int | None) -> Iterator[Fault]:
    for place, days in (("payload_days", payload_days), ("event_days", event_days)):
        if days is not None and not 1 <= days <= LONGEST:
            yield Fault(place, "is out of bounds", f"Use 1 to {LONGEST} days, or leave it empty to keep them for ever.")
