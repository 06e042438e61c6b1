"""What is not shown of a run: the values of its marked fields, gathered from its rows, hidden wherever the run is shown.

Every page, answer, export and message about a run reads its texts through the mask that `mask_of` gives. What is stored, sent to
models and tools, and given back to whoever called the flow is as it was.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID

from django.db.models import Q

from flows.access.versions import document_of, documents_of
from flows.engine.masking import ALL, NO_MASK, Hidden, Marks, Mask, has_marks, hidden_in, marks_of
from flows.engine.problems import DocumentError
from flows.models import Attempt, Call, Pin, Run, ToolEntry

MOST_ROWS = 5_000  # attempts and calls of a run that are looked at
_KEPT = "_mask"


class Tool(Protocol):
    """What is asked of a tool: the schemas that may mark fields."""

    @property
    def slug(self) -> str: ...
    @property
    def arguments(self) -> Any: ...
    @property
    def result(self) -> Any: ...


def mask_of(run: Run) -> Mask:
    """What must not be shown of this run. It is gathered once for each `Run` that was read; without marked fields in its flow that
    takes no query, save one for the tools that it uses."""
    return masks_of([run])[run.id]


def masks_of(runs: Sequence[Run], known: Mapping[str, Tool] | None = None) -> Mapping[UUID, Mask]:
    """The same for several runs: a constant number of queries, and three for each run whose flow has marked fields. `known` are the
    tools of `tools_of`, where they were read already."""
    fresh = [run for run in runs if _KEPT not in run.__dict__]
    if fresh:
        _read(run.version_id for run in fresh)
        marks = {run.id: _marks_of(run.version_id) for run in fresh}
        tools = marked_tools((tool for each in marks.values() for tool in each.tools), known)
        for run in fresh:
            run.__dict__[_KEPT] = _mask(run, marks[run.id], {slug: tools[slug] for slug in marks[run.id].tools if slug in tools})
    return {run.id: run.__dict__[_KEPT] for run in runs}


def masks_of_what_stayed(runs: Sequence[Run]) -> Mapping[UUID, Mask]:
    """The same for what runs left behind: memories, pinned results. Once the payloads of a run have been removed nobody can tell any
    more what of it was hidden, so all that it left is, where its flow has marked fields."""
    masks = masks_of(runs)
    removed = [run for run in runs if run.purged_at is not None]
    hidden = hiding(run.version_id for run in removed) if removed else set()
    return {**masks, **{run.id: ALL for run in removed if run.version_id in hidden}}


def hiding(version_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these versions whose runs may have something to hide: one query for the tools that they use, none without any."""
    wanted = set(version_ids)
    _read(wanted)
    marks = {version: _marks_of(version) for version in wanted}
    tools = marked_tools(tool for each in marks.values() for tool in each.tools)
    return {v for v, each in marks.items() if each.input or each.outputs or each.subflows or not each.tools.isdisjoint(tools)}


def tools_of(runs: Iterable[Run]) -> set[str]:
    """The tools that the flows of these runs name."""
    versions = {run.version_id for run in runs}
    _read(versions)
    return {tool for version in versions for tool in _marks_of(version).tools}


def marked_tools(slugs: Iterable[str], known: Mapping[str, Tool] | None = None) -> dict[str, tuple[Any, Any]]:
    """Of these tools those whose schemas mark anything: by slug the schemas of arguments and result. One query, none without any."""
    wanted = set(slugs)
    if not wanted:
        return {}
    tools: Iterable[Tool] = (
        known.values() if known is not None else ToolEntry.objects.filter(slug__in=wanted).only("slug", "arguments", "result")
    )
    found = {each.slug: (each.arguments, each.result) for each in tools if each.slug in wanted}
    return {slug: schemas for slug, schemas in found.items() if any(has_marks(schema) for schema in schemas)}


def _read(version_ids: Iterable[UUID]) -> None:
    """Reads the documents in one query; one that cannot be read is met again by `_marks_of`."""
    with suppress(DocumentError):
        documents_of(version_ids)


@functools.lru_cache(maxsize=512)
def _marks_of(version_id: UUID) -> Marks:
    """A document that cannot be read never ran, so there is nothing to hide."""
    try:
        return marks_of(document_of(version_id))
    except DocumentError:
        return Marks()


def _mask(run: Run, marks: Marks, tools: Mapping[str, tuple[Any, Any]]) -> Mask:
    inside = list(_subflows(run)) if marks.subflows else []
    borrowed = _borrowed(run)
    if ALL in borrowed:
        return ALL
    if not (marks.input or marks.outputs or tools or inside or borrowed):
        return NO_MASK
    found = [*hidden_in(json.loads(run.input), marks.input, "input")] if marks.input else []
    outputs = {key: [schema] for key, schema in marks.outputs.items()}
    if run.handling:  # its tools' results may have been given, so that no call tells them
        for key, tool in marks.calls.items():
            outputs.setdefault(key, []).extend([tools[tool][1]] if tool in tools else [])
    for path, given, inner in inside:
        found += hidden_in(given, inner.input, f"steps.{path}.input") if inner.input else ()
        tools = {**tools, **marked_tools(inner.tools)}
        for key, schema in inner.outputs.items():
            outputs.setdefault(key, []).append(schema)
    return Mask([*found, *(each for mask in borrowed for each in mask.hidden), *_outputs(run, outputs), *_calls(run, tools)])


def _subflows(run: Run) -> Iterator[tuple[str, Any, Marks]]:
    """The sub-flows that ran in this run: path, input, what their documents mark."""
    rows = Attempt.objects.filter(run=run, kind="subflow", checkpoint__isnull=False).values_list("path", "checkpoint")
    said = [(path, json.loads(checkpoint or "{}")) for path, checkpoint in rows[:MOST_ROWS]]
    _read(UUID(each["version"]) for _, each in said)
    for path, each in said:
        marks = _marks_of(UUID(each["version"]))
        if marks.input or marks.outputs or marks.tools:
            yield path, each.get("input"), marks


def _borrowed(run: Run) -> list[Mask]:
    """Those of the runs whose results were given to this one in place of its own steps', as far as they hide anything."""
    sources = (run.handling or {}).get("sources", {})
    if not sources:
        return []
    numbers = {int(source.rpartition("#")[2]) for source in sources.values() if source.startswith(("test #", "run #"))}
    pinned = [path for path, source in sources.items() if source == "pinned"]
    of_pins = Pin.objects.filter(flow=run.flow_id, path__in=pinned, run__isnull=False).values("run")
    masks = masks_of_what_stayed(list(Run.objects.filter(Q(number__in=numbers) | Q(id__in=of_pins))))
    return [mask for mask in masks.values() if mask]


def _outputs(run: Run, schemas: Mapping[str, Sequence[Any]]) -> Iterator[Hidden]:
    if not schemas:
        return
    last = "|".join(re.escape(key) for key in schemas)
    rows = Attempt.objects.filter(run=run, output__isnull=False, path__regex=rf"(^|[./])({last})$")
    for path, output in rows.values_list("path", "output")[:MOST_ROWS]:
        for schema in schemas[re.split(r"[./]", path)[-1]]:
            yield from hidden_in(json.loads(output or "null"), schema, f"steps.{path}.output")


def _calls(run: Run, tools: Mapping[str, tuple[Any, Any]]) -> Iterator[Hidden]:
    if not tools:
        return
    rows = Call.objects.filter(run=run, kind__in=("tool", "find"), target__in=tools)
    for path, target, request, response in rows.values_list("path", "target", "request", "response")[:MOST_ROWS]:
        arguments, result = tools[target]
        if request is not None:
            yield from hidden_in(json.loads(request), arguments, f"steps.{path}.arguments")
        if response is not None:
            yield from hidden_in(json.loads(response), result, f"steps.{path}.output")
