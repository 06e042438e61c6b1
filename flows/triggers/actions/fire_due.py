"""Firing what is due: the reconciler's look at the schedules."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from flows.access.refusals import Refusal
from flows.models import Firing, Trigger
from flows.triggers.clock import database_now
from flows.triggers.firing import is_going, reason_of, start_for
from flows.triggers.reads import SHOWN, schedule_of, why_inactive

log = logging.getLogger(__name__)

GRACE = timedelta(seconds=60)  # a fire time that is older was missed; the catch-up rule decides
MOST_CAUGHT_UP = 50
MOST_QUEUED = 50
MOST_AT_ONCE = 200  # schedules of one look
KEPT_FOR = timedelta(hours=1)  # firings beyond those shown


def fire_due() -> None:
    """Starts the runs of each fire time that has come, each exactly once, and those that had waited for the run before.

    A schedule's row is locked while it fires, its next fire time moves on in the same transaction, and a fire time can stand in the
    table once, so looks may overlap, break off or be repeated. Only the database's clock is asked.
    """
    now = database_now()
    due = Trigger.objects.filter(next_fire_at__lte=now).order_by("next_fire_at").values_list("id", flat=True)
    for trigger_id in list(due[:MOST_AT_ONCE]):
        _apart(_fire, trigger_id, now)
    queued = Firing.objects.filter(outcome="queued").order_by().values_list("trigger", flat=True).distinct()
    for trigger_id in list(queued[:MOST_AT_ONCE]):
        _apart(_go_on, trigger_id, now)
    forget_old(now)


def forget_old(now: datetime) -> None:
    """Removes firings beyond the newest of each trigger. Their runs stay."""
    old = now - KEPT_FOR
    for trigger in Trigger.objects.filter(firings__at__lt=old).distinct():
        kept = Firing.objects.filter(trigger=trigger).order_by("-id").values_list("id", flat=True)[SHOWN : SHOWN + 1].first()
        if kept is not None:
            Firing.objects.filter(trigger=trigger, id__lte=kept, at__lt=old).exclude(outcome="queued").delete()


def _apart(work: object, trigger_id: UUID, now: datetime) -> None:
    try:
        with transaction.atomic():
            work(trigger_id, now)  # type: ignore[operator]
    except Exception:  # the worker's edge: one schedule's trouble is not the others'
        log.exception("trigger %s could not fire", trigger_id)


def _locked(trigger_id: UUID) -> Trigger | None:
    """The trigger, unless another look has it."""
    rows = Trigger.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
    return rows.select_related("flow", "flow__paused_by", "owner", "paused_by").filter(id=trigger_id).first()


def _fire(trigger_id: UUID, now: datetime) -> None:
    trigger = _locked(trigger_id)
    if trigger is None or trigger.next_fire_at is None or trigger.next_fire_at > now:
        return
    times, trigger.next_fire_at = schedule_of(trigger).due(trigger.next_fire_at, now)
    trigger.save(update_fields=["next_fire_at"])
    if why_inactive(trigger):
        return
    wanted = _wanted(times, now, trigger.settings["catch_up"])
    missed = [time for time in times if time not in wanted]
    if missed:
        reason = f"Nobody was there to fire it; the rule for what was missed is {trigger.settings['catch_up']}."
        if len(missed) > 1:
            reason = f"{len(missed)} fire times, this the last of them. {reason}"
        _record(trigger, missed[-1], "missed", reason)
    for time in wanted:
        _fire_once(trigger, time)


def _wanted(times: list[datetime], now: datetime, rule: str) -> list[datetime]:
    """The fire times that are carried out: those in time, and of the missed ones what the rule says."""
    fresh = [time for time in times if now - time <= GRACE]
    if rule == "all":
        return times[-MOST_CAUGHT_UP:]
    return fresh or (times[-1:] if rule == "last" else [])


def _fire_once(trigger: Trigger, time: datetime) -> None:
    going = is_going(trigger) if trigger.settings["overlap"] != "allow" else None
    waiting = Firing.objects.filter(trigger=trigger, outcome="queued").count() if trigger.settings["overlap"] == "queue" else 0
    if going is None and not waiting:
        _start(trigger, _record(trigger, time, "started"))
    elif trigger.settings["overlap"] == "skip" and going is not None:
        _record(trigger, time, "skipped", f"Run #{going.number} of the fire time before was still going.")
    elif waiting >= MOST_QUEUED:
        _record(trigger, time, "skipped", f"{waiting} fire times were waiting already.")
    else:
        _record(trigger, time, "queued", "Waits for the run of the fire time before.")


def _go_on(trigger_id: UUID, now: datetime) -> None:
    """Starts what waited longest, once the run before it has ended."""
    trigger = _locked(trigger_id)
    if trigger is None or is_going(trigger) is not None:
        return
    oldest = Firing.objects.filter(trigger=trigger, outcome="queued").order_by("due_at", "id").first()
    if oldest is None:
        return
    inactive = why_inactive(trigger)
    if inactive:
        Firing.objects.filter(id=oldest.id).update(outcome="skipped", reason=inactive)
        return
    _start(trigger, oldest)


def _record(trigger: Trigger, time: datetime, outcome: str, reason: str = "") -> Firing | None:
    """The row of this fire time; None where it has one already."""
    row, fresh = Firing.objects.get_or_create(
        trigger=trigger, mark=time.isoformat(), defaults={"due_at": time, "outcome": outcome, "reason": reason}
    )
    return row if fresh else None


def _start(trigger: Trigger, firing: Firing | None) -> None:
    if firing is None or firing.mark is None:
        return
    try:
        firing.run = start_for(trigger, firing.mark, trigger.settings["input"])
        firing.outcome, firing.reason = "started", ""
    except Refusal as refusal:
        firing.outcome, firing.reason = "refused", reason_of(refusal)
    firing.save(update_fields=["run", "outcome", "reason"])
