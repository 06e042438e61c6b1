"""The catalogue as a document (YAML or JSON): models, routes, tools, MCP servers, connections, teams, allowed hosts. See
`orchestrator/demo_catalogue.yaml`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from flows.access.addresses import allowed_name
from flows.engine.document import Money, Part
from flows.engine.explaining import model_problems
from flows.engine.problems import DocumentError, Place, Problem, path_text
from flows.engine.yamltext import parse_yaml
from flows.routing.entries import SLUG, ModelPart, RoutePart, Texts, model_faults, route_faults, seconds
from flows.runs.toolbox.entries import ConnectionPart, MCPPart, ToolPart, connection_faults, tool_faults
from flows.tools.base import ToolKind


def _host(value: str) -> str:
    name, colon, port = value.strip().rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not name or "/" in name or "@" in name:
        raise ValueError("must be host:port, such as 127.0.0.1:9000 or mail.internal:443")
    bare = name.strip("[]")
    if ":" in bare:
        ipaddress.IPv6Address(bare)
    return allowed_name(bare, int(port))


Host = Annotated[str, AfterValidator(_host)]


class TeamPart(Part):
    name: str = ""
    members: Texts = ()


OfARun = Annotated[float, BeforeValidator(seconds), Field(gt=0)]
"""How long a run may take: `2h`, `3d`, or a number of seconds."""


class BudgetPart(Part):
    """What a scope may use in a period, or each run of it: `all`, `run`, `step`, or such as `flow:refunds`, `step:refunds/classify`.
    Without `zone` its days are those of the installation."""

    scope: str
    period: Literal["hour", "day", "week", "month", "run"]
    zone: str = Field(default="", max_length=64)
    cost: Money | None = None
    tokens: int | None = None
    calls: int | None = None
    steps: int | None = None
    duration: OfARun | None = None
    at_limit: Literal["stop", "pause", "cheaper", "finish", "notify"] = "stop"
    warn: Annotated[tuple[int, ...], Field(strict=False)] = ()


class CatalogueDocument(Part):
    models: dict[str, ModelPart] = Field(default_factory=dict)
    routes: dict[str, RoutePart] = Field(default_factory=dict)
    tools: dict[str, ToolPart] = Field(default_factory=dict)
    mcp: dict[str, MCPPart] = Field(default_factory=dict)
    connections: dict[str, ConnectionPart] = Field(default_factory=dict)
    teams: dict[str, TeamPart] = Field(default_factory=dict)
    allowed_hosts: Annotated[tuple[Host, ...], Field(strict=False)] = ()
    budgets: Annotated[tuple[BudgetPart, ...], Field(strict=False)] = ()


def parse_catalogue(source: str | bytes, kinds: Mapping[str, ToolKind]) -> CatalogueDocument:
    """The document of this text. `kinds` are the tool kinds by slug. Raises `DocumentError` with every problem and its place."""
    parsed = parse_yaml(source)
    value = {} if parsed.value is None else parsed.value
    if not isinstance(value, dict):
        raise DocumentError(
            [Problem("", "A catalogue is an object of models, routes, tools, mcp, connections, teams, allowed_hosts and budgets")]
        )
    try:
        document = CatalogueDocument.model_validate(value)
    except ValidationError as error:
        raise DocumentError(model_problems(error, CatalogueDocument, parsed.places)) from None
    problems = [
        Problem(path_text(place), message, mend, *(parsed.places.get(place) or (None, None)))
        for place, message, mend in _further(document, kinds)
    ]
    if problems:
        raise DocumentError(problems)
    return document


def _further(document: CatalogueDocument, kinds: Mapping[str, ToolKind]) -> Iterator[tuple[Place, str, str]]:
    """What types cannot say: where it stands, what is wrong, how to mend it."""
    for section in ("models", "routes", "tools", "mcp", "connections", "teams"):
        for slug in getattr(document, section):
            if not SLUG.fullmatch(slug):
                yield (section, slug), f"`{slug[:40]}` is no name", "Use small letters, digits, dots, hyphens and underscores."
    for slug, model in document.models.items():
        yield from model_faults(slug, model)
    for slug, route in document.routes.items():
        if slug in document.models:
            yield ("routes", slug), f"`{slug}` is the name of a model too", "Give the route another name."
        yield from route_faults(slug, route)
    for slug, tool in document.tools.items():
        yield from tool_faults(slug, tool, kinds)
    for slug, connection in document.connections.items():
        if slug in document.mcp:
            yield ("connections", slug), f"`{slug}` is the name of an MCP server too", "Give the connection another name."
        yield from connection_faults(slug, connection)
