"""Drills by their names."""

from __future__ import annotations

from flows.access.refusals import NotFound
from flows.models import Drill, Flow
from flows.models.identifiers import UnknownIdentifier, parsed
from flows.runs.drills.reading import DrillReport, drill_report

SHOWN = 10


def drill_named(flow: Flow, public_id: str) -> Drill:
    """The drill of this flow with this public identifier. Raises `NotFound`."""
    try:
        found = Drill.objects.filter(flow=flow, id=parsed("drill", public_id)).select_related("version", "by").first()
    except UnknownIdentifier:
        found = None
    if found is None:
        raise NotFound("drill")
    return found


def drills_of(flow: Flow) -> list[DrillReport]:
    """The newest drills of a flow."""
    newest = Drill.objects.filter(flow=flow).select_related("version", "by").order_by("-id")[:SHOWN]
    return [drill_report(drill) for drill in newest]
