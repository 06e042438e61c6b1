"""What stands behind the tools that are flows: whether they ask models, and what they write without anybody's approval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flows.builder.findings import Ground, Inside, ToolFacts, asks_models, placed, unasked
from flows.builder.subflows import References, document_at
from flows.engine.document import FlowDocument
from flows.engine.graph import Flow, compile_flow
from flows.engine.problems import DocumentError
from flows.steps import known_kinds


def look_inside(document: FlowDocument, ground: Ground, refers: References) -> Ground:
    """The ground, where the tools of this document that are flows say what is behind them. A query for each, those behind them
    included; none where no tool is a flow."""
    tools = {each.tool: (each.slug, each.version) for each in refers.of(document) if each.tool}
    if not tools:
        return ground
    found = {
        tool: replace(ground.tools[tool], inside=_inside(flow, refers, ground.tools, set()))
        for tool, flow in tools.items()
        if tool in ground.tools
    }
    return replace(ground, tools={**ground.tools, **found})


def _inside(at: tuple[str, int | None], refers: References, tools: Mapping[str, ToolFacts], seen: set[object]) -> Inside:
    """What one flow does, and those that it calls or runs."""
    slug, number = at
    if at in seen:
        return Inside(slug)
    seen.add(at)
    document = document_at(slug, number)
    compiled = _compiled(document)
    if document is None or compiled is None:
        return Inside(slug)
    ground = Ground(tools=tools)
    steps = list(placed(compiled.graph))
    writes = [each.tool for each in steps if each.tool and not each.approved and ground.effect_of(each.tool) == "write"]
    writes += [tool for each in steps if not each.approved for tool in unasked(each, ground)]
    deeper = [_inside((each.slug, each.version), refers, tools, seen) for each in refers.of(document)]
    return Inside(
        slug,
        any(asks_models(each) for each in steps) or any(each.asks_models for each in deeper),
        tuple(dict.fromkeys([*writes, *(tool for each in deeper for tool in each.writes)])),
    )


def _compiled(document: FlowDocument | None) -> Flow | None:
    try:
        return compile_flow(document, known_kinds()) if document is not None else None
    except DocumentError:  # it was published under other rules
        return None
