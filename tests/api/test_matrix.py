"""Every address of the API, as nobody, with a key that is for nothing of the kind, and as somebody who may not see the object.

The addresses come from the OpenAPI document, so a new one is covered as soon as it exists.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from flows.models import AuditRow, Budget, Drill, Event, Firing, Invitation, ModelEntry, Run, SignIn, ToolEntry
from orchestrator.api import api
from tests.makers import (
    make_base,
    make_flow,
    make_key,
    make_memory,
    make_person,
    make_request,
    make_run,
    make_team,
    make_trigger,
    make_versioned_route,
)

pytestmark = pytest.mark.django_db

BODIES = {
    "/flows/{slug}/runs": {"input": {"name": "Ann"}},
    "/runs/{run_id}/limits": {"cost": "0.50"},
    "/runs/{run_id}/deliveries": {"event": "order.paid"},
    "/runs/{run_id}/steps/{path}/input": {"input": {"values": {}}},
    "/runs/bulk": {"verb": "cancel", "runs": []},
    "/approvals/{request_id}/decisions": {"outcome": "approve", "revision": 1},
    "/approvals/{request_id}/assignment": {"to": None},
    "/approvals/{request_id}/delegation": {"to": "ann"},
    "/approvals/{request_id}/comments": {"text": "Looks right"},
    "/approvals/{request_id}/questions": {"to": "ann", "text": "Why?"},
    "/approvals/bulk": {"items": [], "outcome": "approve"},
    "/delegations": {"to": "ann", "until": "2020-01-01T00:00:00Z"},
    "/notices/preference": {"email": "digest"},
    "/channels": {"kind": "chat", "name": "Team", "address": "https://chat.example.com/hook"},
    "/policies/trial": {"rules": {"people": ["ann"]}},
    "/policies/{policy}": {"name": "Refunds", "rules": {"people": ["ann"]}},
    "/flows/{slug}/settings": {"tags": []},
    "/flows/{slug}/comparison": {"orchestrator": 1, "name": "Other"},
    "/budgets": {"scope": "all", "period": "day", "cost": "9"},
    "/budgets/preview": {"scope": "all", "period": "day", "cost": "9"},
    "/prices": {"model": "none", "input": "1", "output": "1"},
    "/prices/import": {"csv": "model,input,output"},
    "/prices/reratings": {"model": "none", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z", "reason": "A test"},
    "/triggers": {"flow": "hidden", "kind": "webhook", "name": "orders"},
    "/triggers/{trigger_id}": {"name": "orders"},
    "/flows/{slug}/pins/{step}": {"output": 1},
    "/runs/{run_id}/answers": {"path": "greet", "outcome": "approve"},
    "/people/{username}": {"name": "Ann"},
    "/people/{username}/roles": {"role": "viewer"},
    "/invitations": {"roles": [{"role": "viewer"}]},
    "/teams": {"slug": "others"},
    "/keys": {"scopes": ["runs:read"], "person": "somebody"},
    "/models/{model}": {"model": "sim/x"},
    "/secrets/{secret_name}": {"value": "a-value-of-its-own"},
    "/routes/{route}": {"candidates": ["spare"]},
    "/routes/{route}/trials": {"prompt": "x"},
    "/routes/{route}/trials/cost": {"prompt": "x"},
    "/routes/{route}/rollback": {"version": 1},
    "/knowledge": {"slug": "others"},
    "/knowledge/{slug}": {"embedding": ""},
    "/knowledge/{slug}/documents": {"source": "a.txt", "text": "Twice."},
    "/knowledge/{slug}/trials": {"query": "x"},
    "/memory/{entry}": {"value": 1},
    "/retention": {"payload_days": 90},
    "/installation": {"name": "Ours"},
    "/flows/{slug}/rollback": {"version": 1},
    "/flows/{slug}/restoration": {"version": 1},
    "/budgets/holds/{hold_id}/release": {"reason": "It is stuck"},
    "/me": {"name": "Ann"},
    "/retention/preview": {"payload_days": 90},
    "/killswitch": {"on": True, "reason": "A test"},
    "PUT /tools/{tool}": {"kind": "python", "effect": "read", "function": "text.split"},
    "PATCH /tools/{tool}": {"effect": "write"},
    "/tools/{tool}/trials": {"arguments": {}},
    "PUT /costs/views/{view}": {"query": "by=flow"},
    "/connections/{connection}": {"kind": "smtp", "host": "mail.example.com"},
}
CLOSEST = {
    "flows": "runs:read",
    "runs": "flows:read",
    "approvals": "runs:write",
    "costs": "approvals:write",
    "prices": "approvals:write",
    "budgets": "approvals:write",
    "killswitch": "approvals:write",
    "models": "approvals:write",
    "secrets": "approvals:write",
    "routes": "approvals:write",
    "triggers": "costs:write",
    "knowledge": "runs:write",
    "memory": "flows:read",
    "people": "runs:write",
    "me": "runs:write",
    "installation": "runs:write",
    "sign-ins": "runs:write",
    "export": "runs:write",
    "import": "runs:write",
    "invitations": "runs:write",
    "teams": "runs:write",
    "keys": "runs:write",
    "audit": "runs:write",
    "delegations": "runs:write",
    "policies": "runs:write",
    "notices": "runs:write",
    "channels": "runs:write",
    "retention": "runs:write",
    "demonstration": "runs:write",
    "tools": "approvals:write",
    "connections": "approvals:write",
}
FOR_ALL_WHO_SEE = {
    "/flows/{slug}/comparison",
    "/approvals/{request_id}/comments",
    "/approvals/{request_id}/undo",
    "/approvals/bulk",
    "/delegations/{delegation_id}",
    "/notices/preference",
    "/costs/views/{view}",
    "/me",
}
"""What needs no right of its own: it says something, or acts on what is one's own alone."""

OF_THE_INSTALLATION = (
    "people",
    "retention",
    "budgets",
    "invitations",
    "teams",
    "models",
    "routes",
    "tools",
    "connections",
    "secrets",
)  # it is no secret that there are some


def operations() -> list[tuple[str, str]]:
    paths = api.get_openapi_schema(path_prefix="")["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def call(method: str, path: str, secret: str | None, names: dict[str, str]) -> Any:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    given = BODIES.get(f"{method} {path}", BODIES.get(path))
    body = json.dumps(given) if given is not None else ""
    return Client().generic(method, "/api/v1" + path.format(**names), body, content_type="application/json", headers=headers)


@pytest.fixture
def names() -> dict[str, str]:
    flow = make_flow("hidden", team=make_team("theirs"))
    run = make_run(flow, status="waiting_approval")
    request = make_request(run, terms={"approvers": {}})
    trigger = make_trigger(flow, "webhook", sample={"name": "Ann"})
    firing = Firing.objects.create(trigger=trigger, mark="1", outcome="started", body='{"name": "Ann"}')
    _, document, _ = make_base(flow.slug, team=flow.team)
    key, _ = make_key(make_person(username="somebody"), "runs:read")
    invitation = Invitation.objects.create(digest="0" * 64, expires_at=key.created_at)
    things = {
        "username": "somebody",
        "key_id": key.public_id,
        "invitation_id": invitation.public_id,
        "sign_in_id": SignIn.objects.create(person=key.person, session_key="0" * 32).public_id,
        "document": document.public_id,
        "run_id": run.public_id,
        "request_id": request.public_id,
        "trigger_id": trigger.public_id,
        "firing_id": firing.public_id,
        "model": ModelEntry.objects.create(slug="spare", model="sim/spare").slug,
        "route": make_versioned_route("balanced", "spare").slug,
        "entry": make_memory(flow).public_id,
        "tool": ToolEntry.objects.create(slug="look.up", kind="python", effect="read", repeat="freely").slug,
        "connection": "none",
        "hold_id": 1,
        "budget_id": Budget.objects.create(scope="all", period="month", cost=9).id.hex,
        "drill_id": Drill.objects.create(flow=flow, version=flow.published, ended_at=timezone.now()).public_id,
    }
    return {
        "slug": flow.slug,
        "path": "greet",
        "step": "greet",
        "view": "none",
        "policy": "none",
        "secret_name": "SPARE_KEY",
        "delegation_id": "del_none",
        "channel_id": "chn_none",
        **things,
    }


def unchanged() -> bool:
    return (
        Run.objects.get().status == "waiting_approval"
        and Event.objects.count() == 1
        and not AuditRow.objects.exclude(action__in=["refusal", "approval.refuse"]).exists()
    )


@pytest.mark.parametrize(("method", "path"), operations())
def test_nobody_gets_401(method: str, path: str, names: dict[str, str]) -> None:
    for secret in (None, "ork_nonsense"):
        response = call(method, path, secret, names)
        assert response.status_code == 401
        assert response["Content-Type"] == "application/problem+json"
        assert response["WWW-Authenticate"] == "Bearer"
    assert unchanged()


@pytest.mark.parametrize(("method", "path"), operations())
def test_a_key_for_something_else_gets_403(method: str, path: str, names: dict[str, str]) -> None:
    subject = "runs" if path in ("/flows/{slug}/runs", "/flows/{slug}/pause") else path.split("/")[1]
    _, secret = make_key(make_person("owner"), CLOSEST[subject])

    response = call(method, path, secret, names)

    assert response.status_code == 403
    assert response.json()["right"]
    assert "scope" in response.json()["detail"]
    assert unchanged()


@pytest.mark.parametrize(("method", "path"), [each for each in operations() if "{" in each[1]])
def test_what_one_may_not_see_gets_404(method: str, path: str, names: dict[str, str]) -> None:
    person = make_person("operator", "approver", "builder", team=make_team("ours"))
    _, secret = make_key(person, "admin")

    response = call(method, path, secret, names)

    if path.split("/")[1] in ("models", "routes", "tools") and method == "GET":
        assert response.status_code == 200  # everybody who may see flows sees what they ask
    elif path.split("/")[1] in OF_THE_INSTALLATION:
        assert response.status_code == 403
    elif (method, path) == ("PUT", "/costs/views/{view}"):
        assert response.status_code == 200  # one's own
    elif (method, path) == ("PUT", "/flows/{slug}"):  # the body is no document; the flow's name is not told either way
        assert response.status_code in (404, 409, 422)
    elif (path == "/policies/{policy}" and method != "GET") or path.startswith("/channels/"):
        # they are everybody's; to change them needs a right
        assert response.status_code == 403
    else:
        assert response.status_code == 404, response.content
    assert unchanged()


@pytest.mark.parametrize(
    ("method", "path"), [each for each in operations() if each[0] != "GET" and each[1] not in FOR_ALL_WHO_SEE]
)
def test_a_viewer_gets_403_that_names_the_right(method: str, path: str, names: dict[str, str]) -> None:
    _, secret = make_key(make_person("viewer"), "admin")

    response = call(method, path, secret, names)

    if path in ("/keys/{key_id}", "/me/sign-ins/{sign_in_id}"):  # another's is hidden
        assert response.status_code == 404
        return
    assert response.status_code == 403
    assert response.json()["right"] in {
        "people.manage",
        "keys.manage",
        "settings.manage",
        "flows.edit",
        "flows.publish",
        "runs.start",
        "runs.control",
        "requests.decide",
        "payloads.reveal",
        "killswitch.throw",
        "catalogue.manage",
        "routes.edit",
        "prices.manage",
        "budgets.manage",
        "runs.limits",
        "policies.manage",
        "flows.manage",
    }
    assert unchanged()


def test_the_document_of_the_api_names_the_types() -> None:
    schema = Client().get("/api/v1/openapi.json").json()

    assert {"RunDetail", "EventShape", "RequestShape", "CallDetail", "ProblemDocument"} <= set(schema["components"]["schemas"])
    assert {"bearer", "apiKey"} & {each.get("scheme", each["type"]) for each in schema["components"]["securitySchemes"].values()}
