"""The Celery task that brings the demonstration's runs, in the tools worker: people go on meanwhile and see how far it is."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from flows.access.actor import Actor
from flows.models import Filling, Person
from orchestrator.management.receivers import receiver_port
from orchestrator.seeding.ui import seed_ui

logger = logging.getLogger(__name__)
QUEUE = "tools"


@shared_task(name="orchestrator.seeding.fill", ignore_result=True, queue=QUEUE)
def fill(by: str | None = None) -> None:
    port = receiver_port(settings.DATA_DIR)
    person = Person.objects.filter(id=by).first() if by is not None else None
    if port is not None:
        seed_ui(_quiet, port, by=Actor(person=person, door="worker") if person is not None else None)


def begin_to_fill(by: Person | None = None) -> None:
    """Notes that the demonstration is wanted, and tells the worker. Where the ring is lost, whoever asks again sends another."""
    Filling.objects.get_or_create(id=1, defaults={"what": "waiting for a worker", "by": by})
    try:
        fill.apply_async((str(by.id) if by is not None else None,), queue=QUEUE, retry=False)
    except OperationalError as error:
        logger.warning("The ring for the demonstration could not be sent: %s", error)


def _quiet(what: str, done: int, wanted: int) -> None:
    """How far it is stands in the database already."""
