"""The key of a model as a secret: sent to its provider where it is granted, and found nowhere else."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from flows.access.actions.put_secret import InUse, put_secret, remove_secret
from flows.access.refusals import Invalid
from flows.models import AllowedHost, AuditRow, ModelEntry, Run, Secret
from flows.routing.entries import ModelPart
from flows.runs.actions.check_key import check_key
from flows.runs.actions.put_model import put_model, remove_model
from orchestrator.actions.apply_catalogue import apply_catalogue
from orchestrator.catalogue_document import parse_catalogue
from tests.execution.conftest import Drive
from tests.execution.runs import calls_of, error_of, finish, model, start
from tests.execution.test_secrets import everything_stored
from tests.makers import make_actor, make_key, make_person
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

VALUE = "sk-canary-4f1c/9+value"
OTHER = "sk-canary-of-another-day"


@pytest.fixture
def server(transactional_db: None) -> Iterator[ModelServer]:
    with running(ModelServer()) as server:
        AllowedHost.objects.create(host=server.host)
        yield server


def part(server: ModelServer, **fields: Any) -> ModelPart:
    stated = {"model": "openai/small-1", "api_base": f"{server.base}/v1", "api_key_secret": "SMALL_KEY", "capabilities": ()}
    return ModelPart.model_validate(stated | fields)


def asks_once() -> Run:
    return finish(start({"a": model("Say hello.", "small")}, ["start -> a"]))


def keys_sent(server: ModelServer) -> list[str]:
    return [each["authorization"] for each in server.asked if each["path"] == "/v1/chat/completions"]


def test_CON_1_a_models_key_reaches_its_provider_and_nobody_else(
    drive: Drive, server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    owner = make_person("owner")
    put_secret(make_actor("owner"), "SMALL_KEY", VALUE, [])
    put_model(make_actor("owner"), "small", part(server), check=True, grant=True)
    server.key = VALUE
    server.program.append({"behave": "wrong_model", "say": VALUE})  # a provider that says the key back
    drive()

    run = asks_once()

    assert run.status == "succeeded", run.error
    assert keys_sent(server) == [f"Bearer {VALUE}"]
    page, headers = Client(), {"Authorization": f"Bearer {make_key(owner, 'admin')[1]}"}
    page.force_login(owner)
    addresses = ["secrets", "models", "models/small", "audit", f"runs/{run.public_id}?step=a", f"runs/{run.public_id}?tab=events"]
    shown = "".join(page.get(f"/{each}").content.decode() for each in addresses)
    for each in ("models", "models/small", "secrets", f"runs/{run.public_id}/calls"):
        shown += Client().get(f"/api/v1/{each}", headers=headers).content.decode()
    assert "SMALL_KEY" in shown
    everywhere = everything_stored() + shown + caplog.text
    assert VALUE not in everywhere
    assert base64.b64encode(VALUE.encode()).decode() not in everywhere


def test_a_model_sends_nothing_without_the_grant_and_the_new_value_from_the_next_call_on(
    drive: Drive, server: ModelServer
) -> None:
    owner = make_actor("owner")
    put_secret(owner, "SMALL_KEY", VALUE, [])
    put = put_model(owner, "small", part(server))
    assert "the secret SMALL_KEY is not granted to it" in "; ".join(put.warnings)
    drive()

    refused = asks_once()

    assert refused.reason == "bad_key"
    assert "is not granted to it" in error_of(refused)["message"]
    assert calls_of(refused)[0].settled == 0
    assert server.asked == []
    put_secret(owner, "SMALL_KEY", "", [], ["small"])
    assert asks_once().status == "succeeded"
    put_secret(owner, "SMALL_KEY", OTHER, [], ["small"])
    assert asks_once().status == "succeeded"
    assert keys_sent(server) == [f"Bearer {VALUE}", f"Bearer {OTHER}"]


def test_saving_asks_the_provider_with_the_secret_and_grants_it_to_that_model_alone(server: ModelServer) -> None:
    owner = make_actor("owner")
    server.key = VALUE
    put_secret(owner, "SMALL_KEY", OTHER, [])
    with pytest.raises(Invalid) as refusal:
        put_model(owner, "small", part(server), check=True, grant=True)
    assert [each.place for each in refusal.value.problems] == ["api_key_secret"]
    assert "answered 401" in refusal.value.problems[0].message
    assert (ModelEntry.objects.count(), Secret.objects.get().models) == (0, [])

    put_secret(owner, "SMALL_KEY", VALUE, [])
    put_model(owner, "small", part(server), check=True, grant=True)

    assert Secret.objects.get().models == ["small"]
    assert AuditRow.objects.get(action="secret.grant").data == {"tools": [], "models": ["small"]}
    assert check_key(owner, "small", ModelEntry.objects.get()).verdict == "taken"
    assert "not granted" in check_key(owner, "another", ModelEntry.objects.get()).said


def test_CON_3_a_secret_that_is_a_models_key_stays_and_leaves_with_the_model(server: ModelServer) -> None:
    owner = make_actor("owner")
    put_secret(owner, "SMALL_KEY", VALUE, [])
    put_secret(owner, "OTHER_KEY", OTHER, [])
    put_model(owner, "small", part(server), grant=True)

    with pytest.raises(InUse, match="used by small"):
        remove_secret(owner, "SMALL_KEY")
    put_model(owner, "small", part(server, api_key_secret="OTHER_KEY"), grant=True)
    assert dict(Secret.objects.values_list("name", "models")) == {"SMALL_KEY": [], "OTHER_KEY": ["small"]}
    remove_secret(owner, "SMALL_KEY")
    remove_model(owner, "small")
    assert Secret.objects.get().models == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"api_key_secret": "sk-1234"}, "this is no name of a secret"),
        ({"api_key_env": "SMALL_KEY"}, "the key stands in a variable already"),
        ({"api_key_secret": "NONE"}, "there is no secret NONE"),
    ],
)
def test_a_key_that_cannot_be_is_refused_by_its_field(server: ModelServer, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid) as refusal:
        put_model(make_actor("owner"), "small", part(server, **fields), grant=True)

    assert [(each.place, each.message) for each in refusal.value.problems] == [("api_key_secret", said)]


def test_a_catalogue_document_names_a_secret_and_grants_none(transactional_db: None) -> None:
    owner = make_actor("owner")
    put_secret(owner, "SMALL_KEY", VALUE, [])

    applied = apply_catalogue(owner, parse_catalogue("models: {small: {model: openai/small-1, api_key_secret: SMALL_KEY}}", {}))

    assert ModelEntry.objects.get().api_key_secret == "SMALL_KEY"
    assert Secret.objects.get().models == []
    assert any("is not granted to it" in warning for warning in applied.warnings)


def test_the_page_chooses_a_secret_and_says_where_a_key_is_missing(server: ModelServer) -> None:
    client = Client()
    client.force_login(make_person("owner"))
    put_secret(make_actor("owner"), "SMALL_KEY", VALUE, [])
    server.key = VALUE
    typed = {"name": "small", "model": "openai/small-1", "api_base": f"{server.base}/v1", "api_key_secret": "SMALL_KEY"}

    checked = client.post("/models/new", {**typed, "revision": "0", "act": "check"})
    assert 'data-verdict="taken"' in checked.content.decode()
    assert not ModelEntry.objects.exists()
    assert client.post("/models/new", {**typed, "revision": "0", "act": "save"}).status_code == 302

    assert Secret.objects.get().models == ["small"]
    assert "<option selected>SMALL_KEY</option>" in client.get("/models/small").content.decode()
    assert 'data-status="healthy"' in client.get("/models").content.decode()
    client.post("/secrets", {"act": "save", "name": "SMALL_KEY", "value": "", "models": []})
    page = client.get("/models").content.decode()
    assert 'data-status="no key"' in page
    assert "Write the secret SMALL_KEY and grant it to this model" in page


def test_secrets_are_written_granted_listed_and_removed_over_http(transactional_db: None) -> None:
    headers = {"Authorization": f"Bearer {make_key(make_person('owner'), 'admin')[1]}"}
    ModelEntry.objects.create(slug="small", model="openai/small-1")

    def send(method: str, path: str, body: Any = None) -> Any:
        return Client().generic(
            method, f"/api/v1{path}", json.dumps(body or {}), content_type="application/json", headers=headers
        )

    assert send("PUT", "/secrets/small key", {"value": "short"}).status_code == 422
    assert send("PUT", "/secrets/SMALL_KEY", {"value": VALUE, "models": ["small", "none"]}).status_code == 422
    assert not Secret.objects.exists()
    written = send("PUT", "/secrets/SMALL_KEY", {"value": VALUE, "models": ["small"]})
    assert (written.status_code, written.json()["models"], written.json()["used_by"]) == (200, ["small"], [])
    assert VALUE not in written.content.decode()
    put = send("PUT", "/models/small", {"model": "openai/small-1", "api_key_secret": "SMALL_KEY"})
    assert put.json()["api_key_secret"] == "SMALL_KEY"
    (listed,) = send("GET", "/secrets").json()["items"]
    assert (listed["name"], listed["used_by"]) == ("SMALL_KEY", ["small"])
    assert send("DELETE", "/secrets/SMALL_KEY").status_code == 409
    assert send("DELETE", "/models/small").status_code == 204
    assert send("DELETE", "/secrets/SMALL_KEY").status_code == 204
