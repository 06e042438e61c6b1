"""The kill switch: while it is on, no effect begins anywhere.

One row says so. The journal's statement reads it for every call that wants to begin, and the tools worker before it takes a job, so
no process has to hear of it first. A run whose next step is an effect rests as `waiting` with the reason `kill_switch`; what was
on its way when the switch was thrown comes to its end. When the switch is off again, the runs are put back into the queue by the
verb, and by the reconciler for those that came to rest just then.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import Exists, QuerySet

from flows.models import KillSwitch, Person

REASON: Final = "kill_switch"

IS_ON: Final = "coalesce((SELECT k.is_on FROM flows_killswitch k WHERE k.id = 1), false)"
"""A condition of SQL statements. PostgreSQL reads the row once for a whole statement, and only where something wants to begin."""

RELEASE: Final = f"""
WITH stopped AS (
    SELECT id FROM flows_run WHERE status = 'waiting' AND reason = '{REASON}' AND owner IS NULL AND NOT {IS_ON}
    ORDER BY id LIMIT 5000 FOR UPDATE SKIP LOCKED
)
UPDATE flows_run r SET status = 'queued', reason = '', wake_at = NULL FROM stopped WHERE r.id = stopped.id RETURNING r.id
"""  # noqa: S608 - two constants of this module


def the_switch() -> KillSwitch:
    """The switch as it is now; off where nobody has ever thrown it."""
    return KillSwitch.objects.filter(id=1).first() or KillSwitch(id=1)


def with_switch(people: QuerySet[Person]) -> QuerySet[Person]:
    """The same people, each read together with whether the switch is on, which spares `switch_for` a query where it is off."""
    return people.annotate(stopped=Exists(KillSwitch.objects.filter(id=1, is_on=True)))


def switch_for(person: Person | None) -> KillSwitch:
    """The switch as it was when this person was read, or as it is now where nothing was read with them."""
    return the_switch() if getattr(person, "stopped", True) else KillSwitch(id=1)


def release_stopped() -> list[UUID]:
    """Puts the runs that the switch stopped back into the queue, if it is off: up to 5,000, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASE)
        return [row[0] for row in cursor.fetchall()]
