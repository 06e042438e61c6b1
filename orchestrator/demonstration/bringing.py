"""Bringing the demonstration because somebody asked for it on a page."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from orchestrator.demo import seed
from orchestrator.demonstration.states import can_be_brought
from orchestrator.management.receivers import receiver_port
from orchestrator.seeding.tasks import begin_to_fill
from orchestrator.seeding.ui import is_filled


class NoReceiver(Conflict):
    """The demonstration's tools need their receiver, which `make run` starts. Here it does not answer."""

    slug = "no-receiver"


class AlreadyThere(Conflict):
    """The demonstration is there already."""

    slug = "demonstration-there"


def bring_demonstration(actor: Actor) -> list[tuple[str, str]]:
    """People, catalogue and flows at once, the runs from a worker; gives the sign-ins that were made, to be shown once.

    Raises `Forbidden`, `AlreadyThere`, `NoReceiver`. Asked again while it is under way, or after it failed, it goes on.
    """
    require(actor, Right.MANAGE_SETTINGS)
    if is_filled():
        raise AlreadyThere
    port = receiver_port(settings.DATA_DIR)
    if port is None or not can_be_brought():
        raise NoReceiver
    with transaction.atomic():
        signs = seed(port, beside_people=True)
        record_change(actor, "demonstration.bring", "installation", "demonstration", {"people": [name for name, _ in signs]})
    begin_to_fill(actor.person)
    return signs
