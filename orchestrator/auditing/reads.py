"""The audit log as people look at it: narrowed, in pages by key, as a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, QuerySet

from flows.access.actor import Actor
from flows.access.rights import Right, require
from flows.models import AuditRow

PAGE = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for; what it cannot read is left out. Days are whole and in UTC."""

    actor: str = ""
    action: str = ""
    subject: str = ""
    door: str = ""
    request: str = ""
    first: date | None = None
    last: date | None = None
    before: int | None = None

    @property
    def narrowed(self) -> bool:
        return bool(self.actor or self.action or self.subject or self.door or self.request or self.first or self.last)


def wanted_of(query: Mapping[str, str]) -> Wanted:
    texts = {name: query.get(field, "").replace("\x00", "").strip()[:160] for name, field in FIELDS.items()}
    before = query.get("before", "")
    return Wanted(
        **texts,
        first=_day(query.get("from", "")),
        last=_day(query.get("to", "")),
        before=int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
    )


FIELDS = {"actor": "actor", "action": "action", "subject": "object", "door": "door", "request": "request"}


def audit_rows(actor: Actor, wanted: Wanted) -> QuerySet[AuditRow]:
    """The matching rows, the newest first, whatever page they stand on. An action matches with all that begin like it
    (``trigger`` finds ``trigger.pause``). Raises `Forbidden`."""
    require(actor, Right.SEE_AUDIT)
    rows = AuditRow.objects.select_related("key").order_by("-id")
    if wanted.actor:
        rows = rows.filter(actor_name=wanted.actor)
    if wanted.action:
        rows = rows.filter(action__startswith=wanted.action)
    if wanted.subject:
        rows = rows.filter(Q(subject=wanted.subject) | Q(subject_kind=wanted.subject))
    if wanted.door:
        rows = rows.filter(door=wanted.door)
    if wanted.request:
        rows = rows.filter(request=wanted.request)
    if wanted.first is not None:
        rows = rows.filter(at__gte=datetime.combine(wanted.first, time(), UTC))
    if wanted.last is not None:
        rows = rows.filter(at__lt=datetime.combine(wanted.last, time(), UTC) + timedelta(days=1))
    return rows


def page_of(rows: QuerySet[AuditRow], wanted: Wanted) -> tuple[list[AuditRow], int | None]:
    """One page, and where the older one begins."""
    found = list((rows.filter(id__lt=wanted.before) if wanted.before is not None else rows)[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year <= 9998 else None
