"""What all that fires has in common: whose run it is, and the record of what became of it."""

from __future__ import annotations

from typing import Any

from flows.access.actor import Actor
from flows.access.refusals import Refusal
from flows.models import Firing, Run, Trigger
from flows.runs.actions.start_run import start_run

LONGEST_REASON = 300  # characters


def owner_of(trigger: Trigger) -> Actor:
    """In whose name the trigger starts runs by itself."""
    return Actor(person=trigger.owner, door="trigger")


def start_for(trigger: Trigger, mark: str, input: Any, actor: Actor | None = None) -> Run:  # noqa: A002 - the word of the document
    """The run of this firing; the same mark gives the same run. Without `actor` it is started in the owner's name. Raises what
    `start_run` raises."""
    key = f"{trigger.public_id}:{mark}"
    return start_run(actor or owner_of(trigger), trigger.flow.slug, input, key=key, source=trigger.kind)


def is_going(trigger: Trigger) -> Run | None:
    """A run of this trigger that has not ended."""
    own = Firing.objects.filter(trigger=trigger, run__isnull=False).values("run")
    return Run.objects.filter(id__in=own, ended_at__isnull=True).order_by("id").first()


def reason_of(refusal: Refusal) -> str:
    return " ".join(str(refusal).split())[:LONGEST_REASON]
