"""Throwing and releasing the kill switch."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.engine.canonical import storable
from flows.execution.doorbells import inbox_changed
from flows.execution.killswitch import release_stopped, the_switch
from flows.execution.rings import ring
from flows.models import KillSwitch

LONGEST_REASON = 300  # characters


def throw_switch(actor: Actor, on: bool, reason: str = "") -> KillSwitch:
    """Lets no effect begin anywhere from now on (`on`), or lets them begin again and wakes the runs that were stopped.

    A switch that is already so stays as it is. Raises `Forbidden`, and `Invalid` where it is thrown without a reason: everybody
    reads it on every page. Gives the switch as it is afterwards.
    """
    require(actor, Right.THROW_SWITCH)
    reason = " ".join(reason.split())
    if (on and not reason) or len(reason) > LONGEST_REASON or reason != storable(reason):
        fault = Fault("reason", "is missing or cannot be used", f"Say in 1 to {LONGEST_REASON} characters why everything stops.")
        raise Invalid("The kill switch was not thrown.", problems=[fault])
    with transaction.atomic():
        KillSwitch.objects.bulk_create([KillSwitch(id=1)], ignore_conflicts=True)
        switch = KillSwitch.objects.select_for_update().get(id=1)
        if switch.is_on == on:
            return switch
        data = {"reason": reason} if on else {"reason": reason, "was": switch.reason, "thrown_by": switch.by_name}
        KillSwitch.objects.filter(id=1).update(is_on=on, reason=reason, by=actor.person, by_name=actor.name, at=Now())
        record_change(actor, "killswitch.on" if on else "killswitch.off", "killswitch", "killswitch", data)
        woken = [] if on else release_stopped()
        transaction.on_commit(inbox_changed)
        for run in woken:
            transaction.on_commit(partial(ring, run))
    return the_switch()
