"""Errands: long work that a person asked for, which the tools worker carries while they go on.

The row is the job; a ring only says that there is one. Each part of the work and the count of it are one transaction, which begins
by raising the count (`advance`): of two workers that carry the same errand, the second finds it raised and leaves it. So a part is
done once, whoever dies, and a lost ring costs some seconds: the reconciler rings again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import transaction
from django.db.models import F, JSONField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import JSONObject, Now
from kombu.exceptions import OperationalError

from flows.access.actor import Actor
from flows.access.refusals import Refusal
from flows.execution.doorbells import errand_moved
from flows.models import Errand, ErrandPiece, Person
from flows.models.identifiers import shown

log = logging.getLogger(__name__)

QUEUE = "tools"
SILENT = timedelta(seconds=15)  # after which whoever carries it is believed dead
TOLD = timedelta(minutes=10)  # that the header still says of an errand that it has ended
FILE_KEPT = timedelta(days=1)
KEPT = timedelta(days=30)
MOST_TOLD = 100  # things that were left out, by name

Carrier = Callable[[Errand, Actor], None]
"""Does what is left of an errand, part by part, each with an `advance` first."""

_carriers: dict[str, Carrier] = {}


class CarriedByOthers(Exception):
    """Somebody else carries the errand on, or it has ended."""


def carries(*kinds: str) -> Callable[[Carrier], Carrier]:
    """Makes a function the carrier of these kinds of errands."""

    def known(carrier: Carrier) -> Carrier:
        _carriers.update(dict.fromkeys(kinds, carrier))
        return carrier

    return known


def begin_errand(by: Person, kind: str, title: str, wanted: int, *, key: str, subject: str = "", **about: Any) -> Errand:
    """Notes what is wanted of how many things, and tells a worker once that is committed. The same `key` gives the same errand."""
    given = {"kind": kind, "title": title[:160], "wanted": wanted, "subject": subject, "about": about}
    errand, _ = Errand.objects.get_or_create(by=by, key=key[:80], defaults=given)
    transaction.on_commit(lambda: ring(errand.id))
    return errand


def advance(errand: Errand, by: int = 1) -> None:
    """Counts `by` more things as done, within the transaction that does them. Raises `CarriedByOthers`."""
    mine = Errand.objects.filter(id=errand.id, done=errand.done, ended_at=None)
    if not mine.update(done=F("done") + by, moved_at=Now()):
        raise CarriedByOthers
    errand.done += by
    transaction.on_commit(lambda: errand_moved(errand.by_id))


def leave_out(errand: Errand, what: str, why: str, address: str = "") -> None:
    """Says that one thing, which counts as done, was left as it is."""
    errand.refused += 1
    if len(errand.left) < MOST_TOLD:
        errand.left.append({"what": what, "why": why, "address": address})
    Errand.objects.filter(id=errand.id).update(refused=errand.refused, left=errand.left)


def carry(errand_id: UUID) -> None:
    """Carries an errand to its end, unless somebody else does."""
    errand = Errand.objects.select_related("by").filter(id=errand_id, ended_at=None).first()
    carrier = _carriers.get(errand.kind) if errand is not None else None
    if errand is None or carrier is None:
        return
    try:
        if not errand.by.is_active:
            raise Refusal("Whoever asked for it has no account any more.")
        carrier(errand, Actor(person=errand.by, door="worker"))
    except CarriedByOthers:
        return
    except Refusal as refusal:
        end_errand(errand, refusal.message)
    except Exception as error:  # a worker's edge: what one errand does must not end the worker, and people must see it
        log.exception("The errand %s could not be carried on.", errand.public_id)
        end_errand(errand, f"It could not go on: {type(error).__name__}.")
    else:
        end_errand(errand)


def end_errand(errand: Errand, error: str = "") -> None:
    Errand.objects.filter(id=errand.id, ended_at=None).update(ended_at=Now(), moved_at=Now(), error=error[:300])
    errand_moved(errand.by_id)


@shared_task(name="flows.carry_errand", ignore_result=True, queue=QUEUE)
def carry_errand(errand_id: str) -> None:
    carry(UUID(errand_id))


def ring(errand_id: UUID) -> None:
    """Tells a worker of an errand. A ring that cannot be sent is no loss: the reconciler rings again."""
    try:
        carry_errand.apply_async((str(errand_id),), queue=QUEUE, retry=False)
    except OperationalError as error:
        log.warning("The ring for an errand could not be sent: %s", error)


def tend_errands() -> None:
    """The reconciler's part: rings for what nobody carries, and forgets what is old."""
    silent = Errand.objects.filter(ended_at=None, moved_at__lt=Now() - SILENT)
    for errand_id in silent.order_by("moved_at").values_list("id", flat=True)[:20]:
        ring(errand_id)
    ErrandPiece.objects.filter(errand__ended_at__lt=Now() - FILE_KEPT).delete()
    Errand.objects.filter(ended_at__lt=Now() - KEPT).delete()


@dataclass(frozen=True, slots=True)
class Underway:
    """An errand as the header tells it."""

    id: str
    title: str
    wanted: int
    done: int
    ended: bool

    @property
    def public_id(self) -> str:
        return shown("ern", UUID(self.id))


def with_errand(people: QuerySet[Person]) -> QuerySet[Person]:
    """The same people, each read together with the newest errand that they wait for, or else that ended just now."""
    lately = Q(ended_at=None) | Q(ended_at__gt=Now() - TOLD)
    newest = Errand.objects.filter(lately, by=OuterRef("pk")).order_by(F("ended_at").desc(nulls_first=True), "-begun_at")
    told = JSONObject(id="id", title="title", wanted="wanted", done="done", ended=Q(ended_at__isnull=False))
    return people.annotate(errand=Subquery(newest.values(told=told)[:1], output_field=JSONField()))


def errand_of(person: Person | None) -> Underway | None:
    """What was read with the person of a session; None where nothing was."""
    told = getattr(person, "errand", None)
    return Underway(**told) if told is not None else None
