"""Starting a fire drill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from flows.access.actor import Actor
from flows.access.audit import record_change
from flows.access.refusals import Conflict
from flows.access.rights import Right, require
from flows.engine.document import FlowDocument, Limits
from flows.engine.examples import example_of
from flows.engine.inputs import input_problems
from flows.execution.handling import FAULTS, Handling
from flows.models import Drill, Flow, Run
from flows.runs.actions.pin_output import flow_to_test
from flows.runs.actions.start_run import refuse_start
from flows.runs.actions.start_test import compiled_draft, tested_version
from flows.runs.beginning import begin_run, input_text, lowest
from flows.runs.documents import document_of
from flows.runs.reads import value_of

AT_A_LIMIT: Mapping[str, Any] = {"at_limit": "stop"}  # nobody is there to be asked


class DrillUnderWay(Conflict):
    """A drill of this flow is under way. Wait until it has ended; it takes some seconds."""

    slug = "drill-under-way"


def start_drill(actor: Actor, slug: str, input: Any = None, *, draft: bool = False, source: str = "page") -> Drill:  # noqa: A002
    """Rehearses each fault of `FAULTS` in a run of its own, all at once: of the published version, or, where there is none or with
    `draft`, of the draft as it is stored.

    Models are simulated, tools that write are dry, approvals approve by themselves but where a slow person is rehearsed, and nobody
    is asked anything; so it costs nothing and changes nothing. Without an `input` it takes that of the flow's newest run, or an
    example of what the flow asks for. Raises `NotFound`, `Forbidden`, `FlowArchived`, `FlowPaused`, `DrillUnderWay`, `DraftBroken`
    and `InputRefused`.
    """
    flow = flow_to_test(actor, slug)
    require(actor, Right.START_RUNS, flow)
    refuse_start(flow)
    version, document = _version(actor, flow, draft)
    text = input_text(_usual_input(flow, document) if input is None else input, document.input)
    caps = lowest(document.limits, Limits.model_validate(AT_A_LIMIT), Limits.model_validate(flow.ceiling))
    with transaction.atomic():
        Flow.objects.select_for_update(of=("self",), no_key=True).get(id=flow.id)
        if Drill.objects.filter(flow=flow, ended_at=None).exists():
            raise DrillUnderWay
        drill = Drill(flow=flow, version_id=version, by=actor.person)
        for fault in FAULTS:
            decide = "tester" if fault == "slow_person" else "approve"
            handling = Handling(simulate=True, dry=True, decide=decide, skip_waits=True, drill=fault)
            run = begin_run(actor, flow, version, text, caps, source=source, handling=handling, purpose="drill")
            drill.runs[fault] = run.public_id
        drill.save()
        record_change(actor, "flow.drill", "flow", flow.slug, {"drill": drill.public_id, "version": drill.version.number})
    return drill


def _version(actor: Actor, flow: Flow, draft: bool) -> tuple[Any, FlowDocument]:
    if flow.published_id is not None and not draft:
        return flow.published_id, document_of(flow.published_id)
    require(actor, Right.EDIT_FLOWS, flow)
    document = compiled_draft(flow).document
    return tested_version(actor, flow, document).id, document


def _usual_input(flow: Flow, document: FlowDocument) -> Any:
    newest = Run.objects.filter(flow=flow, purpose="live").order_by("-id").values_list("input", flat=True).first()
    if newest is not None and not input_problems(value_of(newest), document.input):
        return value_of(newest)
    return example_of(document.input)
