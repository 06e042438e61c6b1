"""Steering: setting a step's input before it begins."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from pydantic import ValidationError

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.masking import mask_of
from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from flows.engine.canonical import canonical, storable
from flows.engine.compiling import templated_fields
from flows.engine.explaining import model_problems
from flows.engine.kinds import Role
from flows.engine.paths import Place
from flows.engine.schemas import value_problems
from flows.engine.states import TERMINAL_STATES
from flows.execution.moves import announce, append_event, lock_run, signal
from flows.models import Intervention, ModelEntry, Route, Run, ToolEntry
from flows.runs.actions.cancel_run import RunEnded
from flows.runs.stepstates import DecideInstead, NotBegun, StepBusy, StepOver, place_in, refuse_if_changed, sealed_by, step_state

LARGEST = 256 * 1024  # characters of JSON


def edit_input(actor: Actor, run: Run, path: str, fields: Mapping[str, Any], *, seen: str | None = None) -> Intervention:
    """Sets fields of the step's `with` for this run, before the step at `path` begins or is tried again.

    Each field is given as a whole, as the value that the step is to see (nothing in it is evaluated); the others stay as the flow
    says. What people are asked, or have approved, is not edited. `seen` is the step's `standing_at` that the person looked at.
    Raises `NotFound`, `Forbidden`, `Invalid` naming each field, `StepChanged`, `DecideInstead`, `StepBusy`, `StepOver`, `NotBegun`,
    `RunEnded`.
    Gives what was written down, with the fields as they stood `before`.
    """
    require(actor, Right.CONTROL_RUNS, run)
    place = place_in(run, path)
    after = checked_fields(place, fields)
    with transaction.atomic():
        run = lock_run(run.id)
        refuse_if_changed(run, path, seen)
        if run.status in TERMINAL_STATES:
            raise RunEnded(run, "Retry it with another input, version or route instead.")
        now = step_state(run, path)
        if now in {"asking", "running", "waiting", "open"}:
            raise StepBusy("The step has begun. Its input can be edited before it begins, and between two attempts.")
        if now in {"succeeded", "failed", "skipped"}:
            raise StepOver
        if now == "idle" and run.status == "running" and place.node.role is not Role.EFFECT:
            raise NotBegun  # it may be evaluated at this moment: only the intent of a call is held back by the journal
        standing_edit = Intervention.objects.filter(run=run, pass_number=run.pass_number, path=path, kind="input")
        earlier = standing_edit.order_by("-id").first()
        before = written_fields(place) | (json.loads(earlier.after) if earlier is not None else {})
        if earlier is not None:  # what was set before and is not set now, stays
            after = {**json.loads(earlier.after), **after}
        edit = Intervention.objects.create(
            run=run,
            pass_number=run.pass_number,
            path=path,
            kind="input",
            before=canonical(storable({name: before.get(name) for name in after})),
            after=canonical(after),
            by=actor.person,
        )
        signal(run)
        append_event(run, "step.edited", path, {"by": actor.name, "door": actor.door, "fields": sorted(fields)})
        data = {"path": path, **mask_of(run).value({"before": json.loads(edit.before or "{}"), "after": after})}
        record_change(actor, "run.edit_input", "run", run.public_id, data)
        announce(run)
    return edit


def editable_fields(place: Place) -> frozenset[str]:
    """The fields of the step that may be set for one run: those that are filled in while it runs, and its route."""
    fields = templated_fields(place.node.kind.Settings) | {name for name, _, _ in place.node.templates}
    return frozenset(fields | ({"route"} & place.node.kind.Settings.model_fields.keys()))


def written_fields(place: Place) -> dict[str, Any]:
    """The fields that may be set, as the flow has them: values and templates."""
    written: dict[str, Any] = place.node.settings.model_dump(mode="json", by_alias=False)
    return {name: written[name] for name in sorted(editable_fields(place)) if name in written}


def checked_fields(place: Place, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as JSON values that such a step can begin with. Raises `Invalid` naming each that it cannot, `DecideInstead`."""
    if place.node.kind.slug == "approval":
        raise DecideInstead("What people are asked is not edited. Decide the request, or cancel the run.")
    if "arguments" in fields and (sealing := sealed_by(place)):
        raise DecideInstead(f"{', '.join(sealing)} seals what this step sends: what people approve there is what runs.")
    may = editable_fields(place)
    mend = f"Choose of: {', '.join(sorted(may))}." if may else "Edit a step inside it, or one that takes values."
    problems = [Fault(f"input.{name[:60]}", "cannot be set on this step", mend) for name in fields if name not in may]
    if not fields:
        problems.append(Fault("input", "is empty", mend))
    try:
        values: dict[str, Any] = storable(dict(fields))
        size = len(canonical(values))
    except ValueError as error:
        raise Invalid("The input cannot be used.", problems=[*problems, Fault("input", str(error))]) from None
    if size > LARGEST:
        problems.append(Fault("input", f"has {size:,} characters", f"At most {LARGEST:,} fit."))
    problems = problems or _form_faults(place, values) or _catalogue_faults(place, values)
    if problems:
        raise Invalid("The input cannot be used.", problems=problems)
    return values


def _form_faults(place: Place, values: Mapping[str, Any]) -> list[Fault]:
    kind, settings = place.node.kind, place.node.settings
    whole = settings.model_dump(mode="python", by_alias=True, exclude_unset=True) | dict(values)
    try:
        kind.Settings.model_validate(whole)
    except ValidationError as error:
        found = model_problems(error, kind.Settings, {}, ("input",))
        return [Fault(problem.path, problem.message, problem.mend) for problem in found]
    return []


def _catalogue_faults(place: Place, values: Mapping[str, Any]) -> list[Fault]:
    route = values.get("route")
    if route is not None and not (Route.objects.filter(slug=route).exists() or ModelEntry.objects.filter(slug=route).exists()):
        return [Fault("input.route", f"{str(route)[:60]!r} is not in the catalogue", "Name a route or a model.")]
    if place.node.kind.slug != "tool" or "arguments" not in values:
        return []
    schema = ToolEntry.objects.filter(slug=place.node.settings.tool).values_list("arguments", flat=True).first()  # type: ignore[attr-defined]
    found = value_problems(values["arguments"], schema, "input.arguments") if schema else []
    return [Fault(problem.path, problem.message, problem.mend) for problem in found]
