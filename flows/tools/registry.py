"""The tools of the catalogue as one immutable value, and the one way to call any of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from pydantic import ValidationError

from flows.engine.calllimits import CallLimits
from flows.engine.failures import BadRequest, Failure
from flows.engine.problems import did_you_mean, path_text
from flows.engine.schemas import value_problems
from flows.tools.base import Entering, Finding, ToolCall, ToolContext, ToolKind, ToolSpec

logger = logging.getLogger(__name__)
TOOLS = """
SELECT slug, kind, effect, repeat, arguments, settings, timeout, reversible, max_in_flight, known_for, result,
    description, trusted, policy
FROM flows_toolentry ORDER BY slug
"""
DEFAULT_TIMEOUT = 30.0  # seconds


class UnknownTool(Failure):
    """The catalogue has no tool of this name."""

    slug = "bad_request"


@dataclass(frozen=True, slots=True)
class ToolBox:
    """`broken` names the tools whose settings do not fit their kind any more, with the reason."""

    specs: Mapping[str, ToolSpec] = field(default_factory=dict)
    kinds: Mapping[str, ToolKind] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, CallLimits] = field(default_factory=dict)  # by tool; those without limits are left out
    flows: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)  # by tool, of those that are flows

    def spec(self, slug: str) -> ToolSpec:
        """The tool of this slug. Raises `UnknownTool`."""
        try:
            return self.specs[slug]
        except KeyError:
            why = self.broken.get(slug)
            if why is not None:
                raise UnknownTool(f"The tool {slug!r} cannot be used: {why}") from None
            raise UnknownTool(f"The catalogue has no tool named {slug!r}. {did_you_mean(slug, self.specs)}") from None

    def check(self, slug: str, arguments: Any) -> None:
        """Raises `BadRequest` that names the place if the arguments do not match the tool's schema."""
        spec = self.spec(slug)
        if not isinstance(arguments, Mapping):
            raise BadRequest(f"{slug}: the arguments must be an object.")
        if not spec.arguments:
            return
        problems = value_problems(arguments, spec.arguments, "arguments")
        if problems:
            raise BadRequest(f"{slug}: {'; '.join(map(str, problems[:3]))}")

    def taints(self, slug: str) -> bool:
        """Whether a run that has its answer has read what somebody else may have written."""
        spec = self.specs.get(slug)
        return spec is None or (spec.effect == "read" and not spec.trusted)

    def is_dry(self, slug: str) -> bool:
        """Whether a call of this tool is only written down."""
        return False

    def flow_of(self, spec: ToolSpec) -> tuple[str, int | None] | None:
        """The flow that the tool is, with the number of its version (None: the published one); None of any other tool."""
        return self.flows.get(spec.slug)

    async def call(self, call: ToolCall, context: ToolContext) -> Any:
        """Calls with arguments that the caller has checked (`check`). Gives a JSON value; raises the kind's `Failure`s."""
        return await self.kinds[call.spec.kind].call(call, context)

    async def find(self, call: ToolCall, context: ToolContext) -> tuple[bool, Any]:
        """What became of an earlier call with the same key: (True, its result), or (False, None) where nothing happened. Raises
        `Failure`s where that cannot be told."""
        kind = self.kinds[call.spec.kind]
        if not isinstance(kind, Finding):
            raise BadRequest(f"{call.spec.slug}: tools of the kind {kind.slug} cannot tell what became of a call.")
        return await kind.find(call, context)

    def timeout_of(self, slug: str, wanted: float | None = None) -> float:
        """Seconds that one call may take: the shorter of the tool's own and what the step allows."""
        own = self.spec(slug).timeout or DEFAULT_TIMEOUT
        return min(own, wanted) if wanted else own


async def load_tools(connection: AsyncConnection[Any], kinds: Iterable[ToolKind]) -> ToolBox:
    """The tools as they are now. `kinds` are the tool kinds of this installation (`orchestrator.catalogue.tool_kinds()`)."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(TOOLS)
        return toolbox_from_rows(await cursor.fetchall(), kinds)


def current_tools(kinds: Iterable[ToolKind]) -> ToolBox:
    """The same through Django's connection, for pages and commands."""
    with django_connection.cursor() as cursor:
        cursor.execute(TOOLS)
        return toolbox_from_rows(cursor.fetchall(), kinds)


def toolbox_from_rows(rows: Iterable[Any], kinds: Iterable[ToolKind]) -> ToolBox:
    """The tools from rows in the columns of `TOOLS`. A tool that does not fit its kind is left out and named in `broken`."""
    by_slug = {kind.slug: kind for kind in kinds}
    specs: dict[str, ToolSpec] = {}
    broken: dict[str, str] = {}
    limits: dict[str, CallLimits] = {}
    flows: dict[str, tuple[str, int | None]] = {}
    for row in rows:
        slug, kind_slug, effect, repeat, arguments, settings, timeout, reversible, max_in_flight, known_for, result = row[:11]
        description, trusted, policy = row[11:]
        stated = CallLimits.of("tool", slug, {"in_flight": max_in_flight})
        if stated is not None:
            limits[slug] = stated
        kind = by_slug.get(kind_slug)
        if kind is None:
            broken[slug] = f"there is no tool kind {kind_slug!r}."
            continue
        try:
            parsed = kind.Settings.model_validate(_json(settings))
        except ValidationError as error:
            first = error.errors()[0]
            broken[slug] = f"{path_text(first['loc'])}: {first['msg']}."
            continue
        specs[slug] = ToolSpec(
            slug,
            kind_slug,
            effect,
            repeat,
            _json(arguments),
            parsed,
            timeout,
            reversible,
            known_for,
            _json(result),
            description,
            kind.trusted if trusted is None else trusted,
            policy,
        )
        if isinstance(kind, Entering):
            flows[slug] = kind.flow_of(specs[slug])
    for slug, why in broken.items():
        logger.warning("The tool %s cannot be used: %s", slug, why)
    return ToolBox(
        MappingProxyType(specs),
        MappingProxyType(by_slug),
        MappingProxyType(broken),
        MappingProxyType(limits),
        MappingProxyType(flows),
    )


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
