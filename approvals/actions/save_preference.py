"""How one hears of things oneself."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from approvals.models import Preference
from approvals.notices.notify import EVENTS
from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Forbidden, Invalid
from flows.access.rights import Right

WAYS = {"each": "One e-mail for each", "digest": "Gathered into one e-mail, each half hour", "off": "No e-mail"}


def save_preference(actor: Actor, email: str, muted: Iterable[str] = ()) -> Preference:
    """Keeps how the actor wants to be told. Raises `Invalid` naming the field."""
    if actor.person is None:
        raise Forbidden(Right.SEE_REQUESTS, "Only a person is told anything.")
    muted = sorted(set(muted))
    faults = [
        Fault("muted", f"{each[:40]!r} is unknown", f"Choose of: {', '.join(EVENTS)}.") for each in muted if each not in EVENTS
    ]
    if email not in WAYS:
        faults.append(Fault("email", "is unknown", f"Choose of: {', '.join(WAYS)}."))
    if faults:
        raise Invalid("This cannot be kept.", problems=faults)
    with transaction.atomic():
        kept, _ = Preference.objects.update_or_create(person=actor.person, defaults={"email": email, "muted": muted})
        record_change(actor, "notices.prefer", "person", actor.person.username, {"email": email, "muted": muted})
    return kept
