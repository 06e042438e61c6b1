"""Starting a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError

from flows.access.actor import Actor
from flows.access.querysets import flows_for
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.canonical import storable
from flows.engine.document import Limits
from flows.execution.handling import Handling
from flows.execution.queue import PRIORITY_MENDS, is_priority
from flows.models import Flow, FlowVersion, Run
from flows.runs.beginning import Repeats, begin_run, input_text, lowest, require_simulated_models
from flows.runs.documents import document_of
from flows.runs.limits import limits_given

LONGEST_KEY = 200  # characters
MOST_TAGS = 20
LONGEST_TAG = 60


class KeyReused(Conflict):
    """This key has started a run with another flow or input. Use a new key for a new run."""

    slug = "key-reused"


class NotPublished(Conflict):
    """The flow has no published version yet. Publish it first."""

    slug = "not-published"


class FlowPaused(Conflict):
    """This flow is paused, so no new run starts. Runs under way go on. Resume it on its page first."""

    slug = "flow-paused"


class FlowArchived(Conflict):
    """This flow is archived, so nothing starts. Restore it on its page first."""

    slug = "archived"


def start_run(
    actor: Actor,
    slug: str,
    input: Any = None,  # noqa: A002 - the word of the document
    *,
    key: str | None = None,
    limits: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    version: int | None = None,
    priority: int | None = None,
    source: str = "api",
    repeats: Repeats | None = None,
    simulate: bool = False,
) -> Run:
    """Starts a run of a published version (the newest, or that of number `version`) with `input`, a JSON value that matches the
    flow's input schema.

    The same `key` gives the same run. `limits` are written as in the document; of the document's, the flow's ceiling and these the
    lowest holds. `priority` is -10 … 10, the flow's where it is None; `repeats` says which earlier run this one repeats in part; with
    `simulate` every model call goes to a simulated model. The run, its first event and the audit row are one transaction; the engine
    is rung once it has committed. Raises `NotFound`, `Forbidden`, `NotPublished`, `FlowPaused`, `FlowArchived`, `InputRefused` and
    `Invalid` naming each place, `KeyReused`.
    """
    found = flows_for(actor).filter(slug=slug[:80]) if "\x00" not in slug else Flow.objects.none()
    flow = found.defer("draft").select_related("team").first()
    if flow is None:
        raise NotFound(f"flow {slug[:80]!r}")
    require(actor, Right.START_RUNS, flow)
    refuse_start(flow)
    version_id = _version_of(flow, version)
    document = document_of(version_id)
    text = input_text(input, document.input)
    caps = lowest(document.limits, limits_given(limits), Limits.model_validate(flow.ceiling))
    problems = [*_key_faults(key), *tag_faults(tags), *_priority_faults(priority)]
    if problems:
        raise Invalid("The run cannot be started.", problems=problems)
    known = _run_of_key(key, flow, text)
    if known is not None:
        return known
    if simulate:
        require_simulated_models()
    try:
        return begin_run(
            actor,
            flow,
            version_id,
            text,
            caps,
            key=key,
            tags=tags,
            priority=priority,
            source=source,
            repeats=repeats,
            handling=Handling(simulate=simulate),
        )
    except IntegrityError:
        known = _run_of_key(key, flow, text)
        if known is None:
            raise
        return known


def refuse_start(flow: Flow) -> None:
    """Passes while the flow may start runs. Raises `FlowArchived`, `FlowPaused`."""
    if flow.archived_at is not None:
        raise FlowArchived
    if flow.paused_at is not None:
        raise FlowPaused


def _version_of(flow: Flow, number: int | None) -> Any:
    if number is None:
        if flow.published_id is None:
            raise NotPublished
        return flow.published_id
    versions = FlowVersion.objects.filter(flow=flow, number=number) if 0 < number < 2**31 else FlowVersion.objects.none()
    found = versions.values_list("id", flat=True).first()
    if found is None:
        raise NotFound(f"version {number} of {flow.slug}")
    return found


def _key_faults(key: str | None) -> list[Fault]:
    if key is None or (0 < len(key) <= LONGEST_KEY and key.isprintable() and key == storable(key)):
        return []
    return [Fault("key", "cannot be used", f"Use 1 to {LONGEST_KEY} printable characters.")]


def tag_faults(tags: Sequence[str]) -> list[Fault]:
    """What is wrong with the tags of a run."""
    faults = [
        Fault(f"tags[{index}]", "cannot be used", f"Use 1 to {LONGEST_TAG} printable characters.")
        for index, tag in enumerate(tags[: MOST_TAGS + 1])
        if not tag or len(tag) > LONGEST_TAG or not tag.isprintable() or tag != storable(tag)
    ]
    if len(tags) > MOST_TAGS:
        faults.append(Fault("tags", f"has {len(tags)} entries", f"At most {MOST_TAGS} are kept."))
    return faults


def _priority_faults(priority: int | None) -> list[Fault]:
    return [] if priority is None or is_priority(priority) else [Fault("priority", "is no priority", PRIORITY_MENDS)]


def _run_of_key(key: str | None, flow: Flow, text: str) -> Run | None:
    """The run that this key has started. Raises `KeyReused` where it was another one's."""
    if key is None:
        return None
    known = Run.objects.filter(key=key).first()
    if known is None:
        return None
    if known.flow_id != flow.id or known.input != text:
        raise KeyReused
    return known
