"""Pinning the result of a step, for tests of the draft."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.querysets import flows_for
from flows.access.refusals import Fault, Invalid, NotFound
from flows.access.rights import Right, require
from flows.engine.canonical import canonical, storable
from flows.engine.yamltext import parse_yaml
from flows.models import Flow, Pin, Run
from flows.runs.actions.start_run import FlowArchived

LARGEST_OUTPUT = 256 * 1024  # characters of JSON


def pin_output(
    actor: Actor,
    slug: str,
    step: str,
    output: Any,
    *,
    port: str = "done",
    state: dict[str, Any] | None = None,
    edited: bool = False,
    run: Run | None = None,
) -> Pin:
    """From now on tests use `output` and `port` instead of carrying out `step`, a step of the flow itself. `state` are the keys of
    the run's state that it changes; `run` is the test that gave it. Raises `NotFound`, `Forbidden`, `FlowArchived`, `Invalid`."""
    flow = _editable(actor, slug)
    problems = []
    if step not in ((parse_yaml(flow.draft).value or {}).get("steps") or {}):
        problems.append(Fault("step", f"{step[:60]!r} is no step of the draft", "Steps inside a map or loop cannot be pinned."))
    if not 0 < len(port) <= 64 or "\x00" in port:
        problems.append(Fault("port", "is no port"))
    texts = []
    for name, value in (("output", output), ("state", state or {})):
        try:
            texts.append(canonical(storable(value)))
        except ValueError as error:
            problems.append(Fault(name, str(error)))
        else:
            if len(texts[-1]) > LARGEST_OUTPUT:
                problems.append(Fault(name, f"has {len(texts[-1]):,} characters", f"At most {LARGEST_OUTPUT:,} fit."))
    if problems:
        raise Invalid("The output cannot be pinned.", problems=problems)
    values = {"output": texts[0], "state": texts[1], "port": port, "edited": edited, "by": actor.person, "run": run}
    with transaction.atomic():
        pin, _ = Pin.objects.update_or_create(flow=flow, path=step, defaults=values)
        record_change(actor, "flow.pin", "flow", flow.slug, {"step": step, "port": port, "edited": edited})
    return pin


def unpin_output(actor: Actor, slug: str, step: str) -> None:
    """From now on tests carry the step out again. Raises `NotFound`, `Forbidden`, `FlowArchived`."""
    flow = _editable(actor, slug)
    with transaction.atomic():
        if Pin.objects.filter(flow=flow, path=step[:400]).delete()[0]:
            record_change(actor, "flow.unpin", "flow", flow.slug, {"step": step})


def flow_to_test(actor: Actor, slug: str) -> Flow:
    """A flow that one may see, with its draft. Raises `NotFound`."""
    found = flows_for(actor).filter(slug=slug[:80]) if "\x00" not in slug else Flow.objects.none()
    flow = found.select_related("team").first()
    if flow is None:
        raise NotFound(f"flow {slug[:80]!r}")
    return flow


def _editable(actor: Actor, slug: str) -> Flow:
    flow = flow_to_test(actor, slug)
    require(actor, Right.EDIT_FLOWS, flow)
    if flow.archived_at is not None:
        raise FlowArchived
    return flow
