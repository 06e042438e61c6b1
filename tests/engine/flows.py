"""Factories: flows for tests, made of the step kinds that ship."""

from __future__ import annotations

from typing import Any

import yaml

from flows.engine.document import parse_document
from flows.engine.graph import Flow, compile_flow
from flows.engine.kinds import Catalogue, Kind
from flows.engine.problems import DocumentError
from flows.steps.agent import AgentKind
from flows.steps.approval import ApprovalKind
from flows.steps.branch import BranchKind
from flows.steps.check import CheckKind
from flows.steps.index import IndexKind
from flows.steps.loop import LoopKind
from flows.steps.map import MapKind
from flows.steps.model import ModelKind
from flows.steps.note import NoteKind
from flows.steps.recall import RecallKind
from flows.steps.remember import RememberKind
from flows.steps.retrieve import RetrieveKind
from flows.steps.set import SetKind
from flows.steps.subflow import SubflowKind
from flows.steps.tool import ToolKind
from flows.steps.wait import WaitKind

KINDS: dict[str, Kind] = {
    kind.slug: kind
    for kind in (
        SetKind(),
        BranchKind(),
        CheckKind(),
        ModelKind(),
        AgentKind(),
        ToolKind(),
        RetrieveKind(),
        IndexKind(),
        RecallKind(),
        RememberKind(),
        ApprovalKind(),
        WaitKind(),
        MapKind(),
        LoopKind(),
        SubflowKind(),
        NoteKind(),
    )
}


def source_of(steps: dict[str, Any], edges: list[str], **more: Any) -> str:
    """The YAML text of a flow."""
    return str(
        yaml.safe_dump({"orchestrator": 1, "name": "Test", "steps": steps, "edges": edges, **more}, sort_keys=False, width=1000)
    )


def make_flow(
    steps: dict[str, Any], edges: list[str], catalogue: Catalogue | None = None, *, lenient: bool = False, **more: Any
) -> Flow:
    """A compiled flow."""
    return compile_flow(parse_document(source_of(steps, edges, **more)), KINDS, catalogue, lenient=lenient)


def problems_of(steps: dict[str, Any], edges: list[str], catalogue: Catalogue | None = None, **more: Any) -> list[str]:
    """What is wrong with a flow, without lines and columns; nothing when it compiles."""
    try:
        make_flow(steps, edges, catalogue, **more)
    except DocumentError as error:
        assert all(problem.line for problem in error.problems)
        return [f"{problem.path}: {problem.message}. {problem.mend}".rstrip(" .") for problem in error.problems]
    return []
