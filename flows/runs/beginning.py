"""What every start of a run has in common, whatever it is a run of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.redaction import redacted
from flows.access.refusals import Fault, Invalid
from flows.costs.ceilings import ceiling_for
from flows.engine.canonical import canonical, storable
from flows.engine.courses import Course
from flows.engine.document import Limits
from flows.engine.inputs import input_problems
from flows.execution.handling import AS_WRITTEN, Handling
from flows.execution.moves import announce
from flows.execution.passes import carry
from flows.models import Event, Flow, Intervention, ModelEntry, Run

LARGEST_INPUT = 1024 * 1024  # characters of JSON


@dataclass(frozen=True, slots=True)
class Repeats:
    """The run that a new one repeats: from which step (empty: from its beginning), which results it takes over, and which fields of
    which steps (by path) are set in place of the flow's."""

    run: Run
    from_path: str = ""
    course: Course = field(default_factory=Course)
    edits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class InputRefused(Invalid):
    """The input does not match what the flow asks for. No run was started."""

    slug = "input-refused"


def begin_run(
    actor: Actor,
    flow: Flow,
    version_id: Any,
    text: str,
    caps: Limits,
    *,
    source: str,
    key: str | None = None,
    tags: Sequence[str] = (),
    priority: int | None = None,
    repeats: Repeats | None = None,
    handling: Handling = AS_WRITTEN,
    purpose: str = "live",
) -> Run:
    """Writes a run of a version that exists, on the input `text` (JSON), with its first event and the audit row, in one transaction;
    the engine is rung once it has committed. The run bears the flow's tags beside `tags`. Of `caps` and what budgets allow a single
    run the lower holds."""
    borne = list(dict.fromkeys([*flow.tags, *map(redacted, tags)]))
    steps, seconds = _within_budgets(caps, ceiling_for(flow, actor.person, actor.key, borne))
    with transaction.atomic():
        run = Run.objects.create(
            flow=flow,
            version_id=version_id,
            input=redacted(text),
            key=key,
            tags=borne,
            purpose=purpose,
            handling=handling.as_json() or None,
            priority=flow.priority if priority is None else priority,
            source=source,
            started_by=actor.person,
            started_key=actor.key,
            seq=1,
            cap_cost=caps.cost,
            cap_tokens=caps.tokens,
            cap_steps=steps,
            at_limit=caps.at_limit,
            deadline=Now() + timedelta(seconds=seconds) if seconds is not None else None,
            origin=repeats.run if repeats is not None else None,
            origin_path=repeats.from_path if repeats is not None else "",
            signals=int(repeats is not None),  # so that its engine reads what was carried into it
        )
        origin = {} if repeats is None else {"origin": repeats.run.public_id, "from_step": repeats.from_path or None}
        unusual: dict[str, Any] = {} if purpose == "live" else {"purpose": purpose}
        if handling.simulate:
            unusual["simulate"] = True
        if handling.real_tools:
            unusual["real_tools"] = sorted(handling.real_tools)
        data = canonical({"by": actor.name, "source": source, **origin, **unusual})
        Event.objects.bulk_create([Event(run_id=run.id, seq=1, pass_number=1, type="run.created", data=data)])
        facts = {"flow": flow.slug, "key": key, "source": source, "tags": run.tags, **origin, **unusual}
        record_change(actor, "run.start", "run", run.public_id, facts)
        if repeats is not None:
            _bring_along(actor, run, repeats)
        announce(run)
    return run


def _within_budgets(caps: Limits, ceiling: Mapping[str, int]) -> tuple[int | None, float | None]:
    """The steps and the seconds that the run may have."""
    own = {"steps": caps.steps, "duration": caps.duration.seconds if caps.duration is not None else None}
    steps, seconds = (min((value for value in (own[name], ceiling.get(name)) if value is not None), default=None) for name in own)
    return None if steps is None else int(steps), seconds


def _bring_along(actor: Actor, run: Run, repeats: Repeats) -> None:
    carry(run, repeats.course, run.seq)
    for path, fields in repeats.edits.items():
        after = canonical(storable(fields))
        Intervention.objects.create(run=run, pass_number=1, path=path, kind="input", after=after, by=actor.person)


def input_text(value: Any, schema: Mapping[str, Any] | None) -> str:
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


def lowest(document: Limits | None, given: Limits, ceiling: Limits) -> Limits:
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


def require_simulated_models() -> None:
    """Raises `Invalid` where there are models and none of them is simulated, so that nothing could stand in for a real one."""
    kinds = set(ModelEntry.objects.values_list("simulated", flat=True).distinct())
    if kinds == {False}:
        fault = Fault("simulate", "finds no simulated model in the catalogue", "Add one, or run with the real models.")
        raise Invalid("The run cannot be started.", problems=[fault])
