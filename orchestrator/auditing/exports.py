"""The audit log as a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC
from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.models import AuditRow
from orchestrator.auditing.api import audit_shape
from orchestrator.auditing.reads import Wanted, audit_rows

FORMS = ("csv", "jsonl")
COLUMNS = ("at", "actor", "key", "door", "address", "request", "action", "object_kind", "object", "data", "id")
MOST_EXPORTED = 100_000


def export_audit(actor: Actor, wanted: Wanted, form: str) -> Iterator[str]:
    """The lines of the rows that match as ``csv`` or ``jsonl``, the newest first, at most `MOST_EXPORTED`. That somebody exported is
    recorded, too. Raises `Forbidden`."""
    rows = list(audit_rows(actor, wanted)[:MOST_EXPORTED])
    with transaction.atomic():
        record_change(actor, "audit.export", "audit", form, {"rows": len(rows), "filters": _filters(wanted)})
    return _csv(rows) if form == "csv" else (json.dumps(_row(row), ensure_ascii=False) + "\n" for row in rows)


def _filters(wanted: Wanted) -> dict[str, str]:
    named = {"actor": wanted.actor, "action": wanted.action, "object": wanted.subject, "door": wanted.door}
    named |= {"request": wanted.request, "from": str(wanted.first or ""), "to": str(wanted.last or "")}
    return {name: value for name, value in named.items() if value}


def _row(row: AuditRow) -> dict[str, Any]:
    return audit_shape(row) | {"at": row.at.astimezone(UTC).isoformat()}


def _csv(rows: list[AuditRow]) -> Iterator[str]:
    writer = csv.DictWriter(_Echo(), COLUMNS)
    yield writer.writer.writerow(COLUMNS)
    for row in rows:
        cells = {**_row(row), "data": json.dumps(row.data, ensure_ascii=False)}
        yield writer.writer.writerow([_inert(cells[name]) for name in COLUMNS])


def _inert(value: Any) -> Any:
    """What a table program would read as a formula is kept from it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


class _Echo:
    def write(self, text: str) -> str:
        return text
