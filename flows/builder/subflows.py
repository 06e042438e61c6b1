"""Which flows a document runs inside its own, and whether one of them leads back to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Max, Q

from flows.engine.document import FlowDocument, parse_document
from flows.engine.explaining import problem_at
from flows.engine.kinds import KnownFlow
from flows.engine.problems import DocumentError, Place, Problem
from flows.models import Flow, FlowVersion


@dataclass(frozen=True, slots=True)
class Reference:
    """One sub-flow step: which flow it runs (`version` None: the published one), and where it says so."""

    slug: str
    version: int | None
    place: Place


def references(document: FlowDocument) -> list[Reference]:
    """The sub-flow steps of a document, those inside bodies and the error handler included."""
    found = []
    for here, step in steps_within(document):
        settings = step.get("with") or {}
        if step.get("kind") == "subflow" and isinstance(settings.get("flow"), str):
            version = settings.get("version")
            place = (*here, "with", "flow")
            found.append(Reference(settings["flow"], version if isinstance(version, int) else None, place))
    return found


def steps_within(document: FlowDocument) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every step of a document with its place, those inside bodies and the error handler included."""
    value = document.as_json()
    yield from _steps_of(value, ())
    yield from _steps_of(value.get("on_error") or {}, ("on_error",))


def _steps_of(body: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    for key, step in (body.get("steps") or {}).items():
        here: Place = (*place, "steps", key)
        yield here, step
        inside = (step.get("with") or {}).get("body")
        if isinstance(inside, dict):
            yield from _steps_of(inside, (*here, "with", "body"))


def known_flows(wanted: set[str], team: UUID | None) -> dict[str, KnownFlow]:
    """The flows that a flow of this team (None: everybody's) may run, by name: those that all who see it see too. Of the `wanted`
    ones also what their published version takes and gives. Two queries."""
    seen = Q(team__isnull=True) if team is None else Q(team__isnull=True) | Q(team_id=team)
    flows = Flow.objects.filter(seen, archived_at__isnull=True).annotate(newest=Max("versions__number"))
    listed = flows.values_list("slug", "newest", "published_id")
    found = {slug: KnownFlow(newest or 0, published is not None) for slug, newest, published in listed}
    detailed = Flow.objects.filter(slug__in=wanted & found.keys(), published__isnull=False).select_related("published")
    for flow in detailed:
        document = _read(flow.published)
        if document is not None:
            output = document.output
            given = frozenset(output) if isinstance(output, dict) else None
            found[flow.slug] = KnownFlow(found[flow.slug].newest, True, document.input, given)
    return found


def circle(slug: str, document: FlowDocument) -> Problem | None:
    """The first way on which the flow `slug`, once this document is published, would run itself; None where there is none."""
    live = (slug, None)
    ways: list[tuple[tuple[str, int | None], tuple[str, ...], Place]] = [
        ((each.slug, each.version), (slug, each.slug), each.place) for each in references(document)
    ]
    seen: set[tuple[str, int | None]] = set()
    while ways:
        at, way, place = ways.pop()
        if at == live:
            said = " -> ".join(way)
            return problem_at(place, f"the flow would run itself ({said})", "Repeat steps with a `loop`.", document.places)
        if at in seen:
            continue
        seen.add(at)
        inner = _document_at(*at)
        if inner is not None:
            ways += [((each.slug, each.version), (*way, each.slug), place) for each in references(inner)]
    return None


def _document_at(slug: str, number: int | None) -> FlowDocument | None:
    if number is None:
        flow = Flow.objects.filter(slug=slug[:80]).select_related("published").first()
        return _read(flow.published) if flow is not None else None
    return _read(FlowVersion.objects.filter(flow__slug=slug[:80], number=number).first())


def _read(version: FlowVersion | None) -> FlowDocument | None:
    try:
        return parse_document(version.document) if version is not None else None
    except DocumentError:  # of an older form of the document
        return None
