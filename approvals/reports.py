"""Reports of costs: the pinned views that people have mailed to them, each period once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from approvals.notices.notify import notify
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.installation import money
from flows.access.refusals import Invalid, Refusal
from flows.access.rights import Right, require_somewhere
from flows.models import PinnedView
from flows.runs.spending.reporting import Report, next_report, report_of

log = logging.getLogger(__name__)

MOST = 5  # reports a look: each adds up a period
LONGEST_PATH = 200
LATER = timedelta(hours=1)


def send_reports() -> int:
    """Puts the reports that are due into the outbox of notices; gives how many. Who may not see costs any more, and whose view cannot
    be shown any more, gets none from then on, which the audit log says."""
    due = PinnedView.objects.filter(next_at__lte=Now()).order_by("next_at")
    sent = 0
    for view_id in due.values_list("id", flat=True)[:MOST]:
        try:
            sent += _send(view_id)
        except Exception:  # one that cannot be made must not be in the way of the others
            log.exception("the report of the view %s could not be made; it is tried again in an hour", view_id)
            PinnedView.objects.filter(id=view_id).update(next_at=Now() + LATER)
    return sent


def _send(view_id: UUID) -> bool:
    with transaction.atomic():
        found = PinnedView.objects.select_for_update(skip_locked=True, of=("self",)).select_related("person")
        view = found.filter(id=view_id, next_at__lte=Now()).first()
        if view is None:
            return False
        actor = Actor(view.person, door="worker")
        try:
            with timezone.override(ZoneInfo(view.zone)):
                require_somewhere(actor, Right.SEE_COSTS)
                if not view.person.is_active:
                    raise Invalid("The account is not active any more.")
                _tell(view, report_of(actor, view))
        except Refusal as refusal:
            facts = {"view": view.name, "every": "never", "why": str(refusal)}
            record_change(actor, "report.schedule", "person", actor.name, facts)
            PinnedView.objects.filter(id=view.id).update(every="", zone="", next_at=None)
            return False
        PinnedView.objects.filter(id=view.id).update(next_at=next_report(view.every, view.zone))
        return True


def _tell(view: PinnedView, report: Report) -> None:
    first, last = report.wanted.first, report.wanted.last
    when = f"{last.day} {last:%b %Y}" if first == last else f"{first.day} {first:%b} – {last.day} {last:%b %Y}"
    notify(
        "report",
        f"report:{view.id.hex}:{view.every}:{first}",
        f"Costs, {view.name}, {when}: {_amount(report)}",
        report.path if len(report.path) <= LONGEST_PATH else f"/costs?from={first}&to={last}&by={report.wanted.by}",
        people=[view.person],
        facts=_facts(report),
        channels=False,
    )


def _facts(report: Report) -> Sequence[tuple[str, str]]:
    total, before = report.picture.total, report.picture.before
    facts = [("Spent", _amount(report)), ("Calls", f"{total.calls:,}")]
    if before:
        facts.append(("Against the period before", f"{(report.cost - before) / before:+.1%}"))
    if total.unpriced:
        facts.append(("Calls without a price", f"{total.unpriced:,}"))
    return [*facts, *((row.label, f"{'≥ ' if row.spend.unpriced else ''}{_money(row.cost)}") for row in report.rows)]


def _amount(report: Report) -> str:
    return f"{'≥ ' if report.picture.total.unpriced else ''}{_money(report.cost)}"


def _money(amount: Decimal) -> str:
    """Every figure that it has."""
    return money(f"{amount.normalize():,f}")
