"""Each template runs to its end on the real engine with simulated models."""

from __future__ import annotations

from typing import Any

import pytest

from approvals.actions.decide import decide
from flows.builder.actions.create_flow import create_flow
from flows.builder.actions.make_companions import make_bases, make_companions
from flows.builder.actions.publish_flow import publish_flow
from flows.builder.templates import MAKE, Template, fitted, templates
from flows.engine.drawing import drawn
from flows.engine.states import TERMINAL_STATES
from flows.models import Attempt, KnowledgeDocument, Request, Run
from flows.retrieval.indexing import index_document
from flows.runs.actions.start_run import start_run
from flows.runs.items import in_document
from tests.execution.conftest import AddTool, Drive
from tests.execution.runs import decided, finish, make_model, make_route, output_of, until
from tests.makers import make_actor

WRITES = ("refunds.create", "mail.send", "reports.create")


async def _done(**arguments: Any) -> dict[str, Any]:
    return {"id": "done"}


@pytest.fixture
def world(drive: Drive, add_tool: AddTool) -> None:
    for slug in ("sim-small", "sim-large"):
        make_model(slug, capabilities=["tools"])
    make_route("balanced", "sim-small", "sim-large", timeout=20.0)
    make_route("careful", "sim-large", "sim-small", timeout=60.0)
    for slug in (*WRITES, "statistics.of"):
        add_tool(slug, _done, effect="write" if slug in WRITES else "read", repeat="keyed")
    drive()


@pytest.mark.parametrize("template", templates(), ids=lambda template: template.slug)
def test_it_completes_on_simulated_models(template: Template, world: None) -> None:
    owner = make_actor("owner")
    inner = make_companions(owner, dict.fromkeys(template.flows, MAKE), None, frozenset())
    searched = make_bases(owner, dict.fromkeys(template.bases, MAKE), None)
    for document in KnowledgeDocument.objects.all():
        index_document(document.id)
    text = fitted(template, {}, {"text.statistics": "statistics.of"}, frozenset(), inner, searched)
    flow = create_flow(owner, text=text)
    publish_flow(owner, flow.slug)
    run = start_run(owner, flow.slug, template.input)
    outcomes = list(template.decisions)
    votes = 0
    while request := until(lambda: next_request(run)):
        if request is True:
            break
        outcome = outcomes[0] if outcomes else "approve"
        if request.kind == "budget":
            decide(make_actor("owner"), request.id, outcome, request.revision, {"limit": 100_000})
        else:
            decided(request, outcome)
        votes += 1
        if Request.objects.get(id=request.id).state != "pending":
            outcomes = outcomes[1:]

    output = output_of(finish(run))

    assert votes >= 1 or template.slug in {"translation", "research_agent"}
    assert outcomes == [], "each decision of the example is asked for"
    assert output is not None
    done = Attempt.objects.filter(run_id=run.id, status="succeeded").order_by("seq").values_list("path", flat=True)
    assert template.document is not None
    came = {in_document(path) for path in done} & {box.key for box in drawn(template.document).boxes}
    assert sorted(came) == sorted(template.ran), "say in gallery.yaml which steps the example runs"
    failed = Attempt.objects.filter(run_id=run.id, status="failed")
    assert not failed, [(each.path, each.error) for each in failed]


def next_request(run: Run) -> Request | bool | None:
    """What the run asks next; True once it has ended."""
    if Run.objects.get(id=run.id).status in TERMINAL_STATES:
        return True
    return Request.objects.filter(run=run, state="pending").first()
