"""Taking what somebody delivers to a webhook."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from flows.access.refusals import Conflict, Fault, Invalid, NotFound, Refusal, TooLarge, TooManyAttempts
from flows.engine.canonical import storable
from flows.engine.expressions import ExpressionError
from flows.models import Firing, Run, Trigger
from flows.models.identifiers import UnknownIdentifier, parsed
from flows.triggers.clock import database_now
from flows.triggers.firing import reason_of, start_for
from flows.triggers.reads import SHOWN, why_inactive
from flows.triggers.secrets import is_signed
from flows.triggers.settings import mapped_input

LARGEST_BODY = 256 * 1024  # bytes
WINDOW = timedelta(minutes=5)  # how far the sender's clock may be from the database's
LONGEST_ID = 120


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came: the three headers of the scheme as they stood (`flows/triggers/secrets.py`), and the bytes of the body."""

    id: str
    timestamp: str
    signature: str
    body: bytes


class BadSignature(Refusal):
    """The signature is missing or wrong. Sign `<webhook-id>.<webhook-timestamp>.<body>` with the webhook's secret."""

    status = 401
    slug = "bad-signature"


class OutOfTime(Refusal):
    """The header webhook-timestamp is more than five minutes from now. Sign each delivery when you send it."""

    status = 401
    slug = "out-of-time"


class DeliveryReused(Conflict):
    """This webhook-id came before with another body. Use a new id for a new delivery."""

    slug = "delivery-reused"


class Inactive(Conflict):
    """This webhook starts nothing now."""

    slug = "inactive"


class TooManyDeliveries(TooManyAttempts):
    """More deliveries came within a minute than this webhook takes."""

    slug = "too-many-deliveries"


def take_delivery(public_id: str, delivery: Delivery) -> tuple[Run | None, bool]:
    """The run that this delivery starts, and whether it had started it before: the same id and body give the same run (None where
    its record is gone).

    What is refused starts nothing and is listed with its reason. Raises `NotFound`, `TooLarge`, `BadSignature`, `OutOfTime`,
    `Inactive`, `TooManyDeliveries`, `DeliveryReused`, `Invalid`, and what `start_run` raises.
    """
    trigger = _webhook(public_id)
    kept = ""
    try:
        body = _checked(trigger, delivery)
        kept = _text(delivery.body)
        return _taken(trigger, delivery, body, kept)
    except Refusal as refusal:
        _list_refusal(trigger, reason_of(refusal), kept)
        raise


def _webhook(public_id: str) -> Trigger:
    try:
        wanted = parsed("trg", public_id)
    except UnknownIdentifier:
        raise NotFound("webhook") from None
    rows = Trigger.objects.select_related("flow", "flow__paused_by", "owner", "paused_by")
    trigger = rows.filter(id=wanted, kind="webhook").first()
    if trigger is None:
        raise NotFound("webhook")
    return trigger


def _checked(trigger: Trigger, delivery: Delivery) -> Any:
    """The body as JSON, once it is known who sent it, and when. Nothing of it is read before."""
    if len(delivery.body) > LARGEST_BODY:
        raise TooLarge(f"A delivery takes at most {LARGEST_BODY:,} bytes.")
    now = database_now()
    if not is_signed(trigger, delivery.id, delivery.timestamp, delivery.body, delivery.signature, now):
        raise BadSignature
    plain = delivery.timestamp.isascii() and delivery.timestamp.isdigit() and len(delivery.timestamp) <= 11
    if not plain or abs(now - datetime.fromtimestamp(int(delivery.timestamp), UTC)) > WINDOW:
        raise OutOfTime
    if not 0 < len(delivery.id) <= LONGEST_ID or not delivery.id.isprintable():
        raise Invalid(problems=[Fault("webhook-id", "cannot be used", f"Use 1 to {LONGEST_ID} printable characters.")])
    try:
        return storable(json.loads(delivery.body))
    except (ValueError, RecursionError):
        raise Invalid(problems=[Fault("body", "is no JSON that can be stored", "Send a JSON document in UTF-8.")]) from None


def _taken(trigger: Trigger, delivery: Delivery, body: Any, kept: str) -> tuple[Run | None, bool]:
    digest = hashlib.sha256(delivery.body).hexdigest()
    known = _known(trigger, delivery.id, digest)
    if known is not None:
        return known.run, True
    inactive = why_inactive(trigger)
    if inactive:
        raise Inactive(inactive)
    recent = Firing.objects.filter(trigger=trigger, mark__isnull=False, at__gt=database_now() - timedelta(minutes=1)).count()
    if recent >= trigger.settings["per_minute"]:
        raise TooManyDeliveries(60)
    wanted = _mapped(trigger, body, delivery.id)
    try:
        with transaction.atomic():
            fields = {"mark": delivery.id, "outcome": "started", "body": kept, "digest": digest}
            firing = Firing.objects.create(trigger=trigger, **fields)
            firing.run = start_for(trigger, delivery.id, wanted)
            firing.save(update_fields=["run"])
    except IntegrityError:  # the same delivery came twice at once
        known = _known(trigger, delivery.id, digest)
        if known is None:
            raise
        return known.run, True
    return firing.run, False


def _known(trigger: Trigger, delivery_id: str, digest: str) -> Firing | None:
    known = Firing.objects.filter(trigger=trigger, mark=delivery_id).select_related("run").first()
    if known is not None and known.digest != digest:
        raise DeliveryReused
    return known


def _mapped(trigger: Trigger, body: Any, delivery_id: str) -> Any:
    try:
        return mapped_input(trigger.settings, body, delivery_id, database_now().isoformat())
    except ExpressionError as error:
        raise Invalid("The mapping does not fit this body.", problems=[Fault("mapping", str(error))]) from None


def _list_refusal(trigger: Trigger, reason: str, body: str) -> None:
    """Keeps the newest refusals only: anybody may cause them."""
    Firing.objects.create(trigger=trigger, outcome="refused", reason=reason, body=body)
    refused = Firing.objects.filter(trigger=trigger, mark__isnull=True).order_by("-id")
    oldest: UUID | None = refused.values_list("id", flat=True)[SHOWN : SHOWN + 1].first()
    if oldest is not None:
        refused.filter(id__lte=oldest).delete()


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace").replace("\x00", "")
