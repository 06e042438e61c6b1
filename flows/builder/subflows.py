"""Which flows a document runs inside its own, and whether one of them leads back to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Max, Q

from flows.engine.document import FlowDocument, parse_document
from flows.engine.explaining import problem_at
from flows.engine.kinds import KnownFlow
from flows.engine.problems import DocumentError, Place, Problem
from flows.models import Flow, FlowVersion, ToolEntry


@dataclass(frozen=True, slots=True)
class Reference:
    """A step that goes on as another flow: which one (`version` None: the published one), and where it says so. `tool` is the tool that is
    that flow; empty of a sub-flow."""

    slug: str
    version: int | None
    place: Place
    tool: str = ""


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


class References:
    """The flows that documents run inside their own, by sub-flows and by tools that are flows: their own and those of their agents. Which
    tools these are is asked once, where a document calls any."""

    def __init__(self, tools: Iterable[ToolEntry] | None = None) -> None:
        """`tools` are all that there are, where they have been read already."""
        self._flows: dict[str, tuple[str, int | None]] | None = None
        if tools is not None:
            self._take((each.slug, each.settings) for each in tools if each.kind == "flow")

    def of(self, document: FlowDocument) -> list[Reference]:
        """The sub-flows first, then the tools in the order of the document."""
        return [*references(document), *self._by_tools(document)]

    def _by_tools(self, document: FlowDocument) -> Iterator[Reference]:
        for tool, place in _tools_of(document):
            if tool in (flows := self._known()):
                slug, version = flows[tool]
                yield Reference(slug, version, place, tool)

    def _known(self) -> dict[str, tuple[str, int | None]]:
        if self._flows is None:
            return self._take(ToolEntry.objects.filter(kind="flow").values_list("slug", "settings"))
        return self._flows

    def _take(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[str, int | None]]:
        self._flows = {tool: (str(settings.get("flow")), settings.get("version")) for tool, settings in rows}
        return self._flows


def _tools_of(document: FlowDocument) -> Iterator[tuple[str, Place]]:
    """The tools that a document calls itself or grants to agents, with the place of each."""
    for here, step in steps_within(document):
        settings = step.get("with") or {}
        if step.get("kind") == "tool":
            yield str(settings.get("tool")), (*here, "with", "tool")
        grants = settings.get("tools") if step.get("kind") == "agent" else None
        for number, grant in enumerate(grants if isinstance(grants, list) else ()):
            named = grant if isinstance(grant, dict) else {"tool": grant}
            if named.get("leash") != "never":
                yield str(named.get("tool")), (*here, "with", "tools", number)


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


def circle(slug: str, document: FlowDocument, refers: References | None = None) -> Problem | None:
    """The first way on which the flow `slug`, once this document is published, would run itself, by sub-flows or by tools that are flows;
    None where there is none."""
    live, refers = (slug, None), refers or References()
    ways: list[tuple[tuple[str, int | None], tuple[str, ...], Place]] = [
        ((each.slug, each.version), (slug, *_way(each)), each.place) for each in refers.of(document)
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
        inner = document_at(*at)
        if inner is not None:
            ways += [((each.slug, each.version), (*way, *_way(each)), place) for each in refers.of(inner)]
    return None


def _way(reference: Reference) -> tuple[str, ...]:
    return (f"tool {reference.tool}", reference.slug) if reference.tool else (reference.slug,)


def document_at(slug: str, number: int | None) -> FlowDocument | None:
    """The document of this version of a flow (None: the published one); None where there is none that can be read."""
    if number is None:
        flow = Flow.objects.filter(slug=slug[:80]).select_related("published").first()
        return _read(flow.published) if flow is not None else None
    return _read(FlowVersion.objects.filter(flow__slug=slug[:80], number=number).first())


def _read(version: FlowVersion | None) -> FlowDocument | None:
    try:
        return parse_document(version.document) if version is not None else None
    except DocumentError:  # of an older form of the document
        return None
