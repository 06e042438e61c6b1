"""Sends what stands in the outbox: e-mail, chats, signed webhooks. Each try is counted before it is made; what fails is tried again."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db.models import F
from django.db.models.functions import Now

from approvals.models import Notice
from approvals.notices.messages import chat_body, digest_of, mail_of, webhook_body
from approvals.notices.secrets import key_of
from flows.access.egress import Egress, EgressRefused, HTTPError, TooLarge
from flows.access.redaction import redacted
from flows.models import AllowedHost
from flows.triggers.secrets import signature

log = logging.getLogger(__name__)

PAUSES = (5, 30, 120, 600, 3600, 6 * 3600)  # seconds before the next try; after the last one it is given up
PATIENCE = 10.0  # seconds that one receiver gets
A_LOOK = 5.0  # seconds of sending, after which other work of the reconciler goes first
AT_ONCE = 100
FLOOD = 3  # e-mails to one person within `CALM`; what comes then waits, and goes as one digest
CALM = timedelta(minutes=10)
BEING_SENT = timedelta(minutes=2)  # a try that nobody finished counts as failed after this


def send_due() -> int:
    """Sends what is due; gives how many messages left. The reconciler calls it."""
    began, sent = time.monotonic(), 0
    due = Notice.objects.filter(state="queued", next_at__lte=Now(), channel__removed_at__isnull=True)
    found = list(
        due.select_related("person__notice_preference", "channel", "request").order_by("person", "channel", "id")[:AT_ONCE]
    )
    for _, group in groupby(found, key=lambda notice: (notice.person_id, notice.channel_id)):
        notices = list(group)
        if notices[0].person is not None:
            sent += _mail(notices)
        else:
            for notice in notices:
                if time.monotonic() - began > A_LOOK:
                    return sent
                sent += _post(notice)
        if time.monotonic() - began > A_LOOK:
            break
    return sent


# --- e-mail


def _mail(notices: list[Notice]) -> int:
    until = _flooded_until(notices)
    if until is not None:
        Notice.objects.filter(id__in=[notice.id for notice in notices], state="queued").update(next_at=until)
        return 0
    preference = getattr(notices[0].person, "notice_preference", None)
    if len(notices) > FLOOD or (preference is not None and preference.email == "digest"):
        return _send_mail(notices, digest_of(notices))
    return sum(_send_mail([notice], mail_of(notice)) for notice in notices)


def _flooded_until(notices: list[Notice]) -> datetime | None:
    """Until when a person is left in peace who has had their e-mails; None where they may get another."""
    lately = Notice.objects.filter(person=notices[0].person, sent_at__gt=Now() - CALM)
    times = sorted({sent for sent in lately.values_list("sent_at", flat=True) if sent is not None})
    return times[-FLOOD] + CALM if len(times) >= FLOOD else None


def _send_mail(notices: list[Notice], message: tuple[str, str]) -> int:
    person = notices[0].person
    if not _begin(notices) or person is None:
        return 0
    subject, text = message
    try:
        with get_connection(timeout=PATIENCE) as connection:
            mail = EmailMultiAlternatives(subject, text, settings.DEFAULT_FROM_EMAIL, [person.email], connection=connection)
            mail.extra_headers["Auto-Submitted"] = "auto-generated"
            mail.send()
    except (OSError, SMTPException, ValueError) as error:
        _failed(notices, f"{type(error).__name__}: {error}")
        return 0
    _sent(notices)
    return 1


# --- chats and webhooks


def _post(notice: Notice) -> int:
    channel = notice.channel
    if channel is None or not _begin([notice]):
        return 0
    body = json.dumps(chat_body(notice) if channel.kind == "chat" else webhook_body(notice), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "Orchestrator"}
    if channel.kind == "webhook":
        headers |= _signed(notice, body)
    try:
        asyncio.run(_send_post(channel.address, body, headers, _allowed_hosts()))
    except (HTTPError, EgressRefused, TooLarge, TimeoutError, OSError, _Refused) as error:
        _failed([notice], f"{type(error).__name__.strip('_')}: {error}")
        return 0
    _sent([notice])
    return 1


def _signed(notice: Notice, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks. The id is the same at each try, so that a receiver can tell a repetition."""
    assert notice.channel is not None
    delivery, at = f"msg_{notice.id.hex}", str(int(time.time()))
    keys = [base64.b64decode(key) for key in key_of(notice.channel)]
    signatures = " ".join(signature(key, delivery, at, body) for key in keys)
    return {"webhook-id": delivery, "webhook-timestamp": at, "webhook-signature": signatures}


class _Refused(Exception):
    """The receiver answered, but not with success."""


def _allowed_hosts() -> frozenset[str]:
    return frozenset(AllowedHost.objects.values_list("host", flat=True))


async def _send_post(address: str, body: bytes, headers: dict[str, str], allowed: frozenset[str]) -> None:
    egress = Egress(lambda: allowed)
    try:
        answer = await egress.request(
            "POST",
            address,
            headers=headers,
            content=body,
            timeout=PATIENCE,
            max_bytes=64 * 1024,
            follow_redirects=False,
            fresh=True,
        )
    finally:
        await egress.aclose()
    if not 200 <= answer.status < 300:
        said = " ".join(redacted(answer.content[:1000].decode("utf-8", "replace")).split())[:200]
        raise _Refused(f"it answered {answer.status}{f': {said}' if said else ''}")


# --- what became of them


def _begin(notices: Iterable[Notice]) -> bool:
    """Counts the try before it is made; False where another process has taken one of them."""
    ids = [notice.id for notice in notices]
    mine = Notice.objects.filter(id__in=ids, state="queued", next_at__lte=Now())
    return mine.update(attempts=F("attempts") + 1, next_at=Now() + BEING_SENT) == len(ids)


def _sent(notices: list[Notice]) -> None:
    state = "sent" if len(notices) == 1 else "digest"
    Notice.objects.filter(id__in=[notice.id for notice in notices]).update(state=state, sent_at=Now(), error="")


def _failed(notices: list[Notice], why: str) -> None:
    why = " ".join(why.split())[:500]
    for notice in notices:
        pause: Any = PAUSES[notice.attempts] if notice.attempts < len(PAUSES) else None
        more = {"state": "failed"} if pause is None else {"next_at": Now() + timedelta(seconds=pause)}
        Notice.objects.filter(id=notice.id).update(error=why, **more)
    log.info("a notice could not be sent (%d at once): %s", len(notices), why)
