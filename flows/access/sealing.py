"""The chain of the audit log: each row is sealed with a hash over itself and the seal before, soon after it was committed.

Sealing stands outside the changes' own transactions, which would otherwise wait for each other. Whoever alters, removes or reorders
sealed rows, or seals, breaks the chain at that place; `verify` names the first. Removing the newest rows together with their seals
leaves a chain that is whole but shorter: against that, note the head (number and hash) elsewhere and compare.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.models import Max

from flows.engine.canonical import canonical
from flows.models import AuditRow, AuditSeal

LOCK = 0x5EA1  # the advisory lock's number: one chain, one writer
FIRST = "0" * 64  # what the first seal takes for the one before
AT_ONCE = 2000
LATE = 10_000  # rows below the newest sealed one among which some may have been committed late


@dataclass(frozen=True, slots=True)
class Chain:
    """What verifying found: how many rows are sealed and not yet, the head, until when, and the first thing that is wrong."""

    sealed: int
    unsealed: int
    head: str
    until: datetime | None
    broken: str = ""
    row: int | None = None  # the audit row at which it breaks


def seal_audit() -> int:
    """Seals what has been committed since the last time; gives the number of rows."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        last = AuditSeal.objects.order_by("-number").first()
        number, before = (last.number, last.hash) if last is not None else (0, FIRST)
        newest = AuditSeal.objects.order_by("-row").values_list("row", flat=True).first() or 0
        sealed = AuditSeal.objects.filter(row__gt=newest - LATE).values("row")
        rows = AuditRow.objects.filter(id__gt=newest - LATE).exclude(id__in=sealed).order_by("id")
        seals = []
        for row in rows[:AT_ONCE]:
            number, before = number + 1, link(before, row)
            seals.append(AuditSeal(number=number, row=row.id, hash=before))
        AuditSeal.objects.bulk_create(seals)
    return len(seals)


def link(before: str, row: AuditRow) -> str:
    """The hash that seals `row` behind the seal `before`."""
    facts = {
        "id": row.id,
        "at": row.at.astimezone(UTC).isoformat(),
        "actor": str(row.actor_id),
        "actor_name": row.actor_name,
        "key": str(row.key_id),
        "door": row.door,
        "action": row.action,
        "subject_kind": row.subject_kind,
        "subject": row.subject,
        "data": row.data,
    }
    facts |= {
        name: value for name, value in (("request", row.request), ("address", row.address)) if value
    }  # younger than the chain
    return hashlib.sha256(f"{before}\n{canonical(facts)}".encode("utf-8", "surrogatepass")).hexdigest()


def verify() -> Chain:
    """Follows the whole chain anew. Reads every row: a matter of seconds for a million."""
    count, number, before, until = AuditSeal.objects.count(), 0, FIRST, None
    unsealed = AuditRow.objects.count()
    while True:
        seals = list(AuditSeal.objects.filter(number__gt=number).order_by("number")[:AT_ONCE])
        if not seals:
            return Chain(number, max(0, unsealed - count), before, until)
        rows = AuditRow.objects.in_bulk([seal.row for seal in seals])
        for seal in seals:
            if seal.number != number + 1:
                return Chain(number, unsealed - count, before, until, f"seal {number + 1} is missing", seal.row)
            row = rows.get(seal.row)
            if row is None:
                return Chain(number, unsealed - count, before, until, f"row {seal.row} was removed", seal.row)
            if link(before, row) != seal.hash:
                return Chain(number, unsealed - count, before, until, f"row {seal.row} was altered or moved", seal.row)
            number, before, until = seal.number, seal.hash, row.at


def sealed_until() -> datetime | None:
    """When the newest sealed row was written."""
    newest = AuditSeal.objects.aggregate(newest=Max("row"))["newest"]
    return AuditRow.objects.filter(id=newest).values_list("at", flat=True).first() if newest is not None else None
