"""Saying what the installation is called, whose days it reckons in, and how its money is labelled."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.installation import Known, look_up
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.models import Installation


def change_installation(
    actor: Actor, *, name: str | None = None, zone: str | None = None, currency: str | None = None, reason: str = ""
) -> Known:
    """Sets what is given. Budgets keep the zone in which their periods run, and no amount is converted. Raises `Forbidden`, `Invalid`."""
    require(actor, Right.MANAGE_SETTINGS)
    given = {
        field: value.strip() for field, value in (("name", name), ("zone", zone), ("currency", currency)) if value is not None
    }
    faults = list(_faults(given))
    if faults:
        raise Invalid("Nothing was changed.", problems=faults)
    with transaction.atomic():
        Installation.objects.get_or_create(id=1)
        kept = Installation.objects.select_for_update().get(id=1)
        before = {field: getattr(kept, field) for field in given}
        if before != given:
            Installation.objects.filter(id=1).update(**given)
            facts = {"before": before, "after": given, "reason": reason[:300]}
            record_change(actor, "installation.change", "installation", "general", facts)
    return look_up()


def _faults(given: dict[str, str]) -> Iterator[Fault]:
    if "name" in given and (not 0 < len(given["name"]) <= 60 or not given["name"].isprintable()):
        yield Fault("name", "is empty or too long", "Use 1 to 60 characters.")
    if "zone" in given and not _is_zone(given["zone"]):
        yield Fault("zone", f"{given['zone'][:40]!r} is no time zone", "Write Europe/Madrid, or UTC.")
    if "currency" in given and not _is_label(given["currency"]):
        yield Fault(
            "currency", f"{given['currency'][:10]!r} is no label of a currency", "Write a sign or letters, such as €, $ or CHF."
        )


def _is_zone(text: str) -> bool:
    try:
        ZoneInfo(text)
    except (ValueError, KeyError, OSError):
        return False
    return 0 < len(text) <= 64


def _is_label(text: str) -> bool:
    """One to four letters and currency signs: nothing that could be taken for a part of the amount."""
    return 0 < len(text) <= 4 and all(unicodedata.category(each) in ("Sc", "Lu", "Ll", "Lo") for each in text)
