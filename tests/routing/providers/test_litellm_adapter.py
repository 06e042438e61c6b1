"""Model calls against a real HTTP server that misbehaves: one request a call, the right failure, the deadline kept."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from flows.access.egress import Egress, EgressRefused
from flows.engine.failures import (
    BadKey,
    BadRequest,
    ContextTooLong,
    Failure,
    InvalidOutput,
    RateLimited,
    Refused,
    TimedOut,
    Unavailable,
)
from flows.routing.definitions import ModelInfo
from flows.routing.providers import complete
from flows.routing.providers.base import ModelReply, ModelRequest, ToolDeclaration, reply_of
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

TOPIC = {"type": "object", "required": ["topic"], "properties": {"topic": {"enum": ["refund", "other"]}}}


@pytest.fixture(scope="module")
def service() -> Iterator[ModelServer]:
    with running(ModelServer()) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(service: ModelServer) -> None:
    service.asked.clear()
    service.program.clear()


def egress_to(service: ModelServer) -> Egress:
    return Egress(lambda: frozenset({service.host}))


def make_request(service: ModelServer, text: str = "Hello there", **changes: Any) -> ModelRequest:
    model = ModelInfo("small-1", "openai/small-1", api_base=f"{service.base}/v1", capabilities=frozenset({"json", "tools"}))
    return ModelRequest(**{"model": model, "messages": [{"role": "user", "content": text}], "timeout": 10.0, **changes})


async def ask(service: ModelServer, text: str = "Hello there", on_text: Any = None, **changes: Any) -> ModelReply:
    return await complete(make_request(service, text, **changes), on_text, egress=egress_to(service))


async def test_it_gives_text_usage_and_identity_and_streams_the_text(service: ModelServer) -> None:
    heard: list[str] = []

    reply = await ask(service, "Hello [[serve: cached pieces=5]]", heard.append, idempotency_key="key-1")

    assert reply.text.startswith("You said: Hello")
    assert "".join(heard) == reply.text
    assert len(heard) >= 4
    assert reply.finish_reason == "stop"
    assert reply.provider_id == "chatcmpl-1"
    assert reply.usage.source == "provider"
    assert reply.usage.input_tokens > reply.usage.cached_input_tokens > 0
    assert reply.usage.reasoning_tokens == 1
    sent = service.asked[0]
    assert sent["key"] == "key-1"
    assert sent["body"]["max_tokens"] == 1024
    assert sent["body"]["stream_options"] == {"include_usage": True}


async def test_an_async_listener_is_awaited(service: ModelServer) -> None:
    heard: list[str] = []

    async def listen(text: str) -> None:
        await asyncio.sleep(0)
        heard.append(text)

    reply = await ask(service, on_text=listen)
    assert "".join(heard) == reply.text


async def test_a_failing_listener_is_not_taken_for_the_models_fault(service: ModelServer) -> None:
    def listen(text: str) -> None:
        raise ZeroDivisionError("the page")

    with pytest.raises(ZeroDivisionError):
        await ask(service, on_text=listen)


FAILURES: list[tuple[str, type[Failure]]] = [
    ("429 retry_after=7", RateLimited),
    ("500", Unavailable),
    ("502", Unavailable),
    ("503 retry_after=3", Unavailable),
    ("408", TimedOut),
    ("401", BadKey),
    ("403", BadKey),
    ("400", BadRequest),
    ("404", BadRequest),
    ("422", BadRequest),
    ("413", ContextTooLong),
    ("400 code=context_length_exceeded", ContextTooLong),
    ("400 message=content_policy", Refused),
    ("redirect to=http://127.0.0.1:1/", BadRequest),
    ("reset", Unavailable),
    ("html", Unavailable),
    ("empty", Unavailable),
    ("cut", Unavailable),
    ("cut_clean", Unavailable),
    ("stream_error", Unavailable),
    ("no_stream", Unavailable),
    ("refusal", Refused),
    ("content_filter", Refused),
]


@pytest.mark.parametrize(("how", "expected"), FAILURES, ids=[how for how, _ in FAILURES])
async def test_a_bad_answer_is_one_request_and_the_right_failure(service: ModelServer, how: str, expected: type[Failure]) -> None:
    with pytest.raises(Failure) as failure:
        await ask(service, f"Hello [[serve: {how}]]")

    assert type(failure.value) is expected, failure.value
    assert failure.value.sent
    assert len(service.asked) == 1


async def test_retry_after_is_read_in_seconds(service: ModelServer) -> None:
    with pytest.raises(RateLimited) as failure:
        await ask(service, "x [[serve: 429 retry_after=7]]")
    assert failure.value.retry_after == 7.0


@pytest.mark.parametrize("how", ["hang", "drip", "drip_stream every=0.01"])
async def test_the_deadline_is_kept_whatever_drips(service: ModelServer, how: str) -> None:
    started = time.monotonic()

    with pytest.raises(TimedOut) as failure:
        await ask(service, f"x [[serve: {how}]]", timeout=0.6)

    assert time.monotonic() - started < 2.0
    assert failure.value.sent
    assert len(service.asked) == 1


async def test_cancelling_ends_the_call_at_once(service: ModelServer) -> None:
    begun = asyncio.Event()
    task = asyncio.create_task(ask(service, "x [[serve: drip_stream every=0.01]]", lambda _: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2)


async def test_a_service_that_is_down_was_sent_nothing(service: ModelServer) -> None:
    request = make_request(service)
    request = replace(request, model=replace(request.model, api_base="http://127.0.0.1:1/v1"))

    with pytest.raises(Unavailable) as failure:
        await complete(request, egress=Egress(lambda: frozenset({"127.0.0.1:1"})))

    assert not failure.value.sent


@pytest.mark.parametrize(
    "model", ["openai/small-1", "anthropic/claude-3-5-haiku-20241022", "gemini/gemini-2.0-flash", "mistral/small"]
)
async def test_a_host_that_nobody_allowed_is_refused_before_connecting(service: ModelServer, model: str) -> None:
    connections = service.connections
    request = make_request(service)
    request = replace(request, model=replace(request.model, model=model))

    with pytest.raises(EgressRefused, match="An owner must add"):
        await complete(request, egress=Egress(frozenset))

    assert service.connections == connections
    assert not service.asked


@pytest.mark.parametrize(
    "model", ["openai/small-1", "anthropic/claude-3-5-haiku-20241022", "gemini/gemini-2.0-flash", "mistral/small"]
)
async def test_each_provider_that_we_accept_sends_one_request_when_it_fails(service: ModelServer, model: str) -> None:
    service.behaves("500", "500", "500", "500")
    request = make_request(service)
    request = replace(request, model=replace(request.model, model=model))

    with pytest.raises(Failure):
        await complete(request, egress=egress_to(service))

    assert len(service.asked) <= 1


async def test_a_provider_that_cannot_take_our_transport_is_refused(service: ModelServer) -> None:
    request = make_request(service)
    request = replace(request, model=replace(request.model, model="bedrock/x"))
    with pytest.raises(BadRequest, match="checked transport"):
        await complete(request, egress=egress_to(service))


async def test_usage_is_estimated_where_the_provider_sends_none(service: ModelServer) -> None:
    for how in ("no_usage", "zero_usage"):
        reply = await ask(service, f"Hello [[serve: {how}]]")
        assert reply.usage.source == "estimated"
        assert reply.usage.input_tokens > 0
        assert reply.usage.output_tokens > 0


async def test_an_end_without_done_and_another_models_name_are_accepted(service: ModelServer) -> None:
    assert (await ask(service, "Hello [[serve: no_done]]")).finish_reason == "stop"
    assert (await ask(service, "Hello [[serve: wrong_model]]")).model_name == "other-model-9"


async def test_a_schema_is_sent_and_the_answer_checked(service: ModelServer) -> None:
    reply = await ask(service, "I want a refund", output_schema=TOPIC)

    assert reply.output == {"topic": "refund"}
    assert service.asked[0]["body"]["response_format"]["json_schema"]["schema"] == TOPIC


async def test_a_model_without_json_is_told_the_schema_in_words(service: ModelServer) -> None:
    request = make_request(service, 'x [[serve: ok say={"topic":"other"}]]', output_schema=TOPIC)
    request = replace(request, model=replace(request.model, capabilities=frozenset()))

    reply = await complete(request, egress=egress_to(service))

    assert reply.output == {"topic": "other"}
    assert "response_format" not in service.asked[0]["body"]
    assert "JSON Schema" in service.asked[0]["body"]["messages"][0]["content"]


@pytest.mark.parametrize("how", ["bad_json", "length", 'ok say={"topic":"none"}', "ok say=hello"])
async def test_an_answer_that_does_not_fit_is_invalid_and_its_usage_known(service: ModelServer, how: str) -> None:
    with pytest.raises(InvalidOutput) as failure:
        await ask(service, f"x [[serve: {how}]]", output_schema=TOPIC)

    reply = reply_of(failure.value)
    assert reply is not None
    assert reply.usage.input_tokens > 0


async def test_a_tool_is_asked_for_by_its_own_slug(service: ModelServer) -> None:
    tool = ToolDeclaration(
        "refunds.create", "Refunds.", {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}}
    )
    reply = await ask(service, "refund me", tools=(tool,))

    assert reply.tool_calls[0].name == "refunds.create"
    assert isinstance(reply.tool_calls[0].arguments["amount"], int | float)
    assert service.asked[0]["body"]["tools"][0]["function"]["name"] == "refunds__create"

    call = {"id": "call_1", "type": "function", "function": {"name": "refunds.create", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "refund me"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    after = await complete(replace(make_request(service), messages=messages, tools=(tool,)), egress=egress_to(service))
    assert after.text
    assert not after.tool_calls


async def test_the_key_is_sent_and_never_told(service: ModelServer) -> None:
    request = replace(make_request(service, "x [[serve: 400 message=bad-key-s3cr3tkey1234]]"), key="s3cr3tkey1234")

    assert "s3cr3tkey1234" not in repr(replace(request, messages=[]))
    with pytest.raises(BadRequest) as failure:
        await complete(request, egress=egress_to(service))
    assert service.asked[0]["authorization"] == "Bearer s3cr3tkey1234"
    assert "s3cr3tkey1234" not in failure.value.message


async def test_a_key_of_the_environment_that_was_not_named_is_not_sent(
    service: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-should-never-leave-this-machine")
    await ask(service)
    assert service.asked[0]["authorization"] == "Bearer none"


async def test_many_calls_at_once_share_the_transport_and_reuse_connections(service: ModelServer) -> None:
    egress = egress_to(service)
    before = service.connections

    replies = await asyncio.gather(*(complete(make_request(service, f"call {number}"), egress=egress) for number in range(100)))
    assert [reply.text for reply in replies] == [f"You said: call {number}" for number in range(100)]
    opened = service.connections - before
    for number in range(20):
        await complete(make_request(service, f"again {number}"), egress=egress)

    assert service.connections - before == opened


def test_pages_never_import_litellm() -> None:
    code = (
        "import django; django.setup(); import flows.routing.providers, flows.routing.table, flows.tools.registry, "
        "orchestrator.catalogue, flows.access.egress; orchestrator.catalogue.tool_kinds(); import sys; "
        "bad = [n for n in ('litellm', 'openai', 'aiohttp') if n in sys.modules]; sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, cwd=os.getcwd())


def test_preloading_touches_no_network_and_starts_no_thread() -> None:
    code = (
        "import socket, threading, django; django.setup()\n"
        "def refuse(*a, **k): raise SystemExit('network')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from flows.routing.providers import preload\n"
        "preload()\n"
        "raise SystemExit(0 if threading.active_count() == 1 else 'threads')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, cwd=os.getcwd())


def test_the_first_call_imports_next_to_nothing(service: ModelServer) -> None:
    """A process that has preloaded must not stand still at its first call."""
    code = (
        "import asyncio, sys, django; django.setup()\n"
        "from flows.access.egress import Egress\n"
        "from flows.routing.definitions import ModelInfo\n"
        "from flows.routing.providers import complete, preload\n"
        "from flows.routing.providers.base import ModelRequest\n"
        "preload()\n"
        f"model = ModelInfo('small-1', 'openai/small-1', api_base='{service.base}/v1')\n"
        "request = ModelRequest(model=model, messages=[{'role': 'user', 'content': 'Hello'}], timeout=20.0)\n"
        "before = set(sys.modules)\n"
        f"asyncio.run(complete(request, egress=Egress(lambda: frozenset({{'{service.host}'}}))))\n"
        "new = [n for n in set(sys.modules) - before if n.partition('.')[0] in ('litellm', 'openai', 'tiktoken', 'tiktoken_ext')]\n"
        "sys.exit(0 if len(new) <= 10 else str(len(new)) + ': ' + ' '.join(new[:20]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, cwd=os.getcwd())
