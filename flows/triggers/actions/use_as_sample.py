"""Taking over a delivery as the webhook's sample."""

from __future__ import annotations

from flows.access.actor import Actor
from flows.models import Firing, Trigger
from flows.triggers.actions.fire_by_hand import body_of
from flows.triggers.actions.save_trigger import change_trigger
from flows.triggers.bodies import mask_of_body


def use_as_sample(actor: Actor, trigger: Trigger, firing: Firing) -> Trigger:
    """The body of this delivery, without what is hidden of it, is the webhook's sample from now on.

    Raises as `change_trigger`, and `NothingDelivered`.
    """
    body = body_of(firing)
    return change_trigger(actor, trigger, {"sample": mask_of_body(trigger, body).value(body)})
