"""Published flows as models: driven by OpenAI's own client, over the application, with a real engine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from flows.api.chat import Message, input_of
from flows.models import Run
from orchestrator.asgi import application
from tests.makers import DOCUMENT, make_flow, make_key, make_person

TEXT = DOCUMENT.replace("required: [name]", "required: [message]").replace(
    "    name: {type: string}", "    message: {type: string}"
)
TEXT = TEXT.replace("input.name", "input.message").replace('output: {text: "{{', 'output: "{{').replace('text }}"}', 'text }}"')
ASKS = TEXT.replace("kind: set\n", "kind: approval\n").replace('values: {text: "Hello {{ input.message }}"}', "title: Greet?")
ASKS = ASKS.replace("steps.greet.output.text", "steps.greet.output.outcome")
HELLO: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Ann"}]

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def client_of(secret: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application)) as http:  # type: ignore[arg-type]
        yield openai.AsyncOpenAI(api_key=secret, base_url="http://localhost/v1", http_client=http)


@sync_to_async
def key_for(*scopes: str, role: str = "operator", **flows: str) -> str:
    for slug, document in flows.items():
        make_flow(slug, document=document)
    return make_key(make_person(role), *scopes)[1]


async def test_the_official_client_drives_a_flow(drive: Any) -> None:
    secret = await key_for("runs:write", greet=TEXT)
    drive()
    async with client_of(secret) as client:
        answer = await client.chat.completions.create(model="flow/greet", messages=HELLO)
        listed = [model.id async for model in client.models.list()]

    run = await Run.objects.aget()
    assert answer.choices[0].message.content == "Hello Ann"
    assert answer.choices[0].finish_reason == "stop"
    assert run.source == "chat"
    assert answer.id == f"chatcmpl-{run.public_id}"
    assert listed == ["flow/greet"]


async def test_it_streams(drive: Any) -> None:
    secret = await key_for("runs:write", greet=TEXT)
    drive()
    async with client_of(secret) as client:
        stream = await client.chat.completions.create(model="flow/greet", messages=HELLO, stream=True)
        chunks = [chunk.choices[0] async for chunk in stream]

    assert "".join(each.delta.content or "" for each in chunks) == "Hello Ann"
    assert chunks[-1].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
async def test_while_people_decide_it_says_where_to_follow_the_run(drive: Any, stream: bool) -> None:
    secret = await key_for("runs:write", greet=ASKS)
    drive()
    async with client_of(secret) as client:
        headers = {"Prefer": "wait=2"}
        answer: Any = await client.chat.completions.create(
            model="flow/greet", messages=HELLO, stream=stream, extra_headers=headers
        )
        if stream:
            chunks = [chunk.choices[0] async for chunk in answer]
            text, reason = "".join(each.delta.content or "" for each in chunks), chunks[-1].finish_reason
        else:
            text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason

    run = await Run.objects.aget()
    assert run.status == "waiting_approval"
    assert reason == "length"
    assert "waits for a person to decide" in text
    assert f"/runs/{run.public_id}" in text


async def test_a_run_that_failed_is_an_error_that_clients_do_not_repeat(drive: Any) -> None:
    secret = await key_for("runs:write", greet=TEXT.replace("Hello {{ input.message }}", "{{ input.message.nothing }}"))
    drive()
    async with client_of(secret) as client:
        with pytest.raises(openai.UnprocessableEntityError, match="ended as failed"):
            await client.chat.completions.create(model="flow/greet", messages=HELLO)

    assert await Run.objects.acount() == 1


@pytest.mark.parametrize(
    ("scopes", "role", "model", "error"),
    [
        (["runs:read"], "operator", "flow/greet", openai.PermissionDeniedError),
        (["runs:write"], "viewer", "flow/greet", openai.PermissionDeniedError),
        (["runs:write"], "operator", "flow/other", openai.NotFoundError),
        (["runs:write"], "operator", "greet", openai.NotFoundError),
    ],
)
async def test_rights_and_scopes_hold_as_at_any_door(scopes: list[str], role: str, model: str, error: Any) -> None:
    secret = await key_for(*scopes, role=role, greet=TEXT)
    async with client_of(secret) as client:
        with pytest.raises(error):
            await client.chat.completions.create(model=model, messages=HELLO)

    assert not await Run.objects.aexists()


def test_bad_requests_are_named_and_start_nothing() -> None:
    make_flow("greet", document=DOCUMENT)
    headers = {"Authorization": f"Bearer {make_key(make_person('operator'), 'runs:write')[1]}"}
    body: dict[str, Any] = {"model": "flow/greet", "messages": [{"role": "user", "content": "Ann"}]}
    for wrong in ("{", {"model": "flow/greet", "messages": []}, {**body, "n": 2}, body):  # the last: `name` is asked for, as JSON
        answer = Client().post("/v1/chat/completions", wrong, content_type="application/json", headers=headers)
        assert answer.status_code == 422, answer.content
        assert answer.json()["error"]["message"]
    assert not Run.objects.exists()


def test_the_same_idempotency_key_gives_the_same_run() -> None:
    make_flow("greet", document=TEXT)
    headers = {"Authorization": f"Bearer {make_key(make_person('operator'), 'runs:write')[1]}", "Prefer": "wait=0"}
    body = {"model": "flow/greet", "messages": [{"role": "user", "content": "Ann"}]}
    answers = [
        Client().post("/v1/chat/completions", body, content_type="application/json", headers={**headers, "Idempotency-Key": "a"})
        for _ in range(2)
    ]

    assert len({answer["X-Orchestrator-Run"] for answer in answers}) == 1
    assert Run.objects.count() == 1


def test_messages_become_the_input_that_the_flow_asks_for() -> None:
    messages = [Message(role="user", content="first"), Message(role="user", content=[{"type": "text", "text": '{"amount": 3}'}])]

    assert input_of(messages, {"properties": {"amount": {}}}) == {"amount": 3}
    assert input_of(messages[:1], {"properties": {"question": {}, "amount": {}}}) == {"question": "first"}
    assert input_of(messages[:1], {"properties": {"messages": {}}}) == {"messages": [{"role": "user", "content": "first"}]}
    assert json.dumps(input_of(messages[:1], None)) == '{"messages": [{"role": "user", "content": "first"}]}'
