"""What the product can do, as a few lists. Reading it is reading the product; a new kind is one small module and one line here.

Other packages add kinds by entry points of the same shape: in the group ``orchestrator.step_kinds`` (or ``.tool_kinds``,
``.tool_functions``) an entry whose value is ``package.module:Class`` (for functions: a module). Providers of models are
LiteLLM's; which of them are known to use the checked transport stands in `flows/routing/providers/litellm_adapter.py`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from flows.engine.kinds import Kind
from flows.tools.base import ToolKind

STEP_KINDS = [
    "flows.steps.set.SetKind",
    "flows.steps.branch.BranchKind",
    "flows.steps.model.ModelKind",
    "flows.steps.agent.AgentKind",
    "flows.steps.tool.ToolKind",
    "flows.steps.retrieve.RetrieveKind",
    "flows.steps.index.IndexKind",
    "flows.steps.recall.RecallKind",
    "flows.steps.remember.RememberKind",
    "flows.steps.check.CheckKind",
    "flows.steps.approval.ApprovalKind",
    "flows.steps.map.MapKind",
    "flows.steps.loop.LoopKind",
    "flows.steps.subflow.SubflowKind",
    "flows.steps.wait.WaitKind",
    "flows.steps.note.NoteKind",
]
TOOL_KINDS = [
    "flows.tools.http.HTTPTool",
    "flows.tools.python.PythonTool",
    "flows.tools.mcp.MCPTool",
    "flows.tools.flow.FlowTool",
    "flows.tools.sql.SQLTool",
    "flows.tools.mail.MailTool",
    "flows.tools.chat.ChatTool",
]
TOOL_FUNCTIONS = [
    "flows.tools.functions",
]

STEP_KINDS_GROUP = "orchestrator.step_kinds"
TOOL_KINDS_GROUP = "orchestrator.tool_kinds"
TOOL_FUNCTIONS_GROUP = "orchestrator.tool_functions"


@functools.cache
def step_kinds() -> Mapping[str, Kind]:
    """The step kinds by slug. Raises ImportError for a path that leads nowhere."""
    return _by_slug(_instances(STEP_KINDS, STEP_KINDS_GROUP))


@functools.cache
def tool_kinds() -> tuple[ToolKind, ...]:
    """The tool kinds. Raises ImportError for a path that leads nowhere."""
    tool_functions()
    return tuple(_by_slug(_instances(TOOL_KINDS, TOOL_KINDS_GROUP)).values())


@functools.cache
def tool_functions() -> tuple[ModuleType, ...]:
    """Imports the modules whose functions flows may call; importing registers them."""
    found = [importlib.import_module(path) for path in TOOL_FUNCTIONS]
    return (*found, *(entry.load() for entry in importlib.metadata.entry_points(group=TOOL_FUNCTIONS_GROUP)))


def _instances(paths: Iterable[str], group: str) -> list[Any]:
    classes = [import_string(path) for path in paths]
    classes += [entry.load() for entry in importlib.metadata.entry_points(group=group)]
    return [found() for found in classes]


def _by_slug(kinds: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in kinds:
        if kind.slug in found:
            raise ValueError(f"two kinds have the slug {kind.slug!r}: {_path(found[kind.slug])} and {_path(kind)}")
        found[kind.slug] = kind
    return found


def _path(kind: Any) -> str:
    return f"{type(kind).__module__}.{type(kind).__qualname__}"


@register()
def check_catalogue(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Refuses two kinds of one slug, and paths that lead nowhere."""
    messages: list[CheckMessage] = []
    for number, load in enumerate((step_kinds, tool_kinds, tool_functions), start=1):
        try:
            load()
        except (ImportError, ValueError, AttributeError, TypeError) as error:
            messages.append(
                Error(f"{load.__name__}: {error}", hint="See orchestrator/catalogue.py.", id=f"orchestrator.E00{number}")
            )
    return messages
