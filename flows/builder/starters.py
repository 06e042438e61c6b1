"""What starts a flow by itself, in words, for those who publish, pause or archive it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from flows.models import Flow, Trigger


def starters_of(flows: Iterable[Flow]) -> Mapping[UUID, list[Trigger]]:
    """The schedules and webhooks of each of these flows, by name; one query. A flow without any is left out."""
    found: dict[UUID, list[Trigger]] = {}
    for trigger in Trigger.objects.filter(flow__in=list(flows)).select_related("paused_by").order_by("name", "id"):
        found.setdefault(trigger.flow_id, []).append(trigger)
    return found
