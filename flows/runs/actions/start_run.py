"""Starting a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.querysets import flows_for
from flows.access.refusals import Conflict, Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.canonical import canonical, storable
from flows.engine.courses import Course
from flows.engine.document import Limits
from flows.engine.inputs import input_problems
from flows.execution.moves import announce
from flows.execution.passes import carry
from flows.execution.queue import PRIORITY_MENDS, is_priority
from flows.models import Event, Flow, FlowVersion, Intervention, Run
from flows.runs.documents import document_of
from flows.runs.limits import limits_given

LONGEST_KEY = 200  # characters
MOST_TAGS = 20
LONGEST_TAG = 60
LARGEST_INPUT = 1024 * 1024  # characters of JSON


@dataclass(frozen=True, slots=True)
class Repeats:
    """The run that a new one repeats: from which step (empty: from its beginning), which results it takes over, and which fields of
    which steps (by path) are set in place of the flow's."""

    run: Run
    from_path: str = ""
    course: Course = field(default_factory=Course)
    edits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


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


class InputRefused(Invalid):
    """The input does not match what the flow asks for. No run was started."""

    slug = "input-refused"


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
) -> Run:
    """Starts a run of a published version (the newest, or that of number `version`) with `input`, a JSON value that matches the
    flow's input schema.

    The same `key` gives the same run. `limits` are written as in the document; of the document's, the flow's ceiling and these the
    lowest holds. `priority` is -10 … 10, the flow's where it is None; `repeats` says which earlier run this one repeats in part. The
    run bears the flow's tags beside `tags`. The run, its first event and the audit row are one transaction; the engine is rung once
    it has committed. Raises `NotFound`, `Forbidden`, `NotPublished`, `FlowPaused`, `FlowArchived`, `InputRefused` and `Invalid`
    naming each place, `KeyReused`.
    """
    found = flows_for(actor).filter(slug=slug[:80]) if "\x00" not in slug else Flow.objects.none()
    flow = found.defer("draft").select_related("team").first()
    if flow is None:
        raise NotFound(f"flow {slug[:80]!r}")
    require(actor, Right.START_RUNS, flow)
    refuse_start(flow)
    version_id = _version_of(flow, version)
    document = document_of(version_id)
    text = _input_text(input, document.input)
    caps = _lower(document.limits, limits_given(limits), Limits.model_validate(flow.ceiling))
    problems = [*_key_faults(key), *tag_faults(tags), *_priority_faults(priority)]
    if problems:
        raise Invalid("The run cannot be started.", problems=problems)
    known = _run_of_key(key, flow, text)
    if known is not None:
        return known
    try:
        return _insert(
            actor, flow, version_id, text, key, caps, list(dict.fromkeys([*flow.tags, *tags])), priority, source, repeats
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


def _insert(
    actor: Actor,
    flow: Flow,
    version_id: Any,
    text: str,
    key: str | None,
    caps: Limits,
    tags: list[str],
    priority: int | None,
    source: str,
    repeats: Repeats | None,
) -> Run:
    with transaction.atomic():
        run = Run.objects.create(
            flow=flow,
            version_id=version_id,
            input=text,
            key=key,
            tags=tags,
            priority=flow.priority if priority is None else priority,
            source=source,
            started_by=actor.person,
            started_key=actor.key,
            seq=1,
            cap_cost=caps.cost,
            cap_tokens=caps.tokens,
            cap_steps=caps.steps,
            at_limit=caps.at_limit,
            deadline=Now() + timedelta(seconds=caps.duration.seconds) if caps.duration is not None else None,
            origin=repeats.run if repeats is not None else None,
            origin_path=repeats.from_path if repeats is not None else "",
            signals=int(repeats is not None),  # so that its engine reads what was carried into it
        )
        origin = {} if repeats is None else {"origin": repeats.run.public_id, "from_step": repeats.from_path or None}
        data = canonical({"by": actor.name, "source": source, **origin})
        Event.objects.bulk_create([Event(run_id=run.id, seq=1, pass_number=1, type="run.created", data=data)])
        record_change(
            actor, "run.start", "run", run.public_id, {"flow": flow.slug, "key": key, "source": source, "tags": tags, **origin}
        )
        if repeats is not None:
            _bring_along(actor, run, repeats)
        announce(run)
    return run


def _bring_along(actor: Actor, run: Run, repeats: Repeats) -> None:
    carry(run, repeats.course, run.seq)
    for path, fields in repeats.edits.items():
        after = canonical(storable(fields))
        Intervention.objects.create(run=run, pass_number=1, path=path, kind="input", after=after, by=actor.person)


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


def _input_text(value: Any, schema: Mapping[str, Any] | None) -> str:
    """The input as canonical JSON, once it is known to match the schema."""
    try:
        value = storable({} if value is None else value)
        text = canonical(value)
    except ValueError as error:
        raise InputRefused(problems=[Fault("input", str(error))]) from None
    if len(text) > LARGEST_INPUT:
        mend = f"At most {LARGEST_INPUT:,} fit; give large data by reference."
        raise InputRefused(problems=[Fault("input", f"has {len(text):,} characters", mend)])
    problems = input_problems(value, schema)
    if problems:
        raise InputRefused(problems=[Fault(problem.path, problem.message, problem.mend) for problem in problems])
    return text


def _lower(document: Limits | None, given: Limits, ceiling: Limits) -> Limits:
    """Of each limit the lowest; what happens at the limit is as given for the run, else as in the document."""
    own = document or Limits()
    lower: dict[str, Any] = {}
    for name in ("cost", "tokens", "steps"):
        values: list[Decimal | int] = [
            value for value in (getattr(each, name) for each in (own, given, ceiling)) if value is not None
        ]
        lower[name] = min(values) if values else None
    durations = [each for each in (own.duration, given.duration, ceiling.duration) if each is not None]
    lower["duration"] = min(durations, key=lambda each: each.seconds) if durations else None
    at_limit = given.at_limit if "at_limit" in given.model_fields_set else own.at_limit
    return Limits.model_construct(**lower, at_limit=at_limit)


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
