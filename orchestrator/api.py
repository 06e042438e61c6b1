"""The REST API under /api/v1: each door brings its routes."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from approvals.api import router as approvals
from approvals.notices.api import router as notices
from approvals.policies.api import router as policies
from flows.access.refusals import NotFound
from flows.api.auth import DOORS
from flows.api.budgets import router as budgets
from flows.api.catalogue import router as catalogue
from flows.api.comparing import router as comparing
from flows.api.control import router as control
from flows.api.costs import router as costs
from flows.api.costviews import router as cost_views
from flows.api.drills import router as drills
from flows.api.flows import router as flows
from flows.api.history import router as history
from flows.api.killswitch import router as killswitch
from flows.api.knowledge import router as knowledge
from flows.api.memory import router as memory
from flows.api.prices import router as prices
from flows.api.problems import answer_with_problems, refused
from flows.api.runs import router as runs
from flows.api.secrets import router as secrets
from flows.api.testing import router as testing
from flows.api.tools import router as tools
from flows.api.triggers import router as triggers
from orchestrator.auditing.api import router as audit
from orchestrator.demonstration.api import router as demonstration
from orchestrator.general.api import router as installation
from orchestrator.openapi import DocumentedAPI
from orchestrator.people.api import router as people
from orchestrator.people.me_api import router as me
from orchestrator.retention.api import router as retention
from orchestrator.transfer.api import router as transfer

api = DocumentedAPI(
    title="Orchestrator",
    version="1",
    description="Flows, runs, approvals and costs. Errors are problem documents (RFC 9457), money is text, times are RFC 3339.",
    urls_namespace="api",
    docs_url=None,
    openapi_url="/openapi.json",
    auth=DOORS,
)
answer_with_problems(api)
for router in (
    flows,
    comparing,
    history,
    testing,
    drills,
    control,
    runs,
    approvals,
    policies,
    notices,
    costs,
    cost_views,
    prices,
    budgets,
    killswitch,
    catalogue,
    secrets,
    triggers,
    people,
    me,
    installation,
    transfer,
    audit,
    knowledge,
    memory,
    retention,
    demonstration,
    tools,
):  # `control` has an address that `runs` would take for a run's
    api.add_router("", router)


def unknown_address(request: HttpRequest, rest: str = "") -> HttpResponse:
    """What an address of the API answers that it does not have."""
    return refused(NotFound(f"address {request.path[:200]}"))
