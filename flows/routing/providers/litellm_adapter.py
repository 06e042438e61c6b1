"""Model calls through LiteLLM: the only module that imports it.

Of LiteLLM we use the translation between vendors and nothing else. It retries, falls back, keeps prices and calls back by itself
if it is let; here one call is one request, which the wire enforces (`flows.access.egress.observed`), the deadline is ours, the
price is ours, and usage is only believed when the provider sent it.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network while it is imported
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it reads a .env file that it finds somewhere above
os.environ.setdefault("LITELLM_LOG", "ERROR")

import litellm
import orjson
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from openai import AsyncOpenAI

from flows.access.egress import Egress, Exchange, observed, refusing_transport
from flows.costs.tokens import tokens_of_request, tokens_of_text
from flows.engine.failures import BadRequest, Failure, InvalidOutput, Refused, TimedOut, Unavailable
from flows.engine.schemas import value_problems
from flows.routing.providers.base import ModelReply, ModelRequest, OnText, ToolRequest, Usage, with_reply
from flows.routing.providers.classify import failure_of
from flows.routing.providers.simulated import Simulated

AT_FIRST_CALL = (
    "litellm._service_logger",
    "litellm.litellm_core_utils.default_encoding",
    "litellm.proxy._types",
    "openai.resources.chat",
    "tiktoken_ext.openai_public",
)
"""What the libraries import at their first call, about a second of the engine's loop, in which every run of the process would stand
still: imported here, before there is a loop."""

OPENAI_BASE = "https://api.openai.com/v1"
NO_KEY = "none"  # what is sent where the catalogue names no key: never a key that happens to be in the environment
CLIENTS_KEPT = 256
MOST_REPORTED = 10**9
"""Dollars from which on what a provider says of a call's cost is no figure."""
LONGEST_RAW = 10_000  # bytes
CHECKED_PROVIDERS = frozenset({"openai", "anthropic", "gemini", "mistral", "sim"})
"""Providers that are known to use the client which is handed to them. Anything that speaks OpenAI's protocol is ``openai/…``."""


for name in AT_FIRST_CALL:
    import_module(name)

litellm.custom_provider_map = [{"provider": "sim", "custom_handler": Simulated()}]
litellm.suppress_debug_info = True
litellm.drop_params = False
litellm.num_retries = None
litellm.disable_aiohttp_transport = True
setattr(AsyncHTTPHandler, "create_async_transport", staticmethod(lambda *_, **__: refusing_transport()))  # noqa: B010


async def complete(request: ModelRequest, on_text: OnText | None = None, *, egress: Egress) -> ModelReply:
    """One request to one model, streamed; its text goes to `on_text` piece by piece.

    Sends exactly one HTTP request and ends within `request.timeout` seconds. Raises the failures of `flows/engine/failures.py`,
    with `sent` and `retry_after`; where an answer came that cannot be used, `reply_of(failure)` has it with its usage.
    """
    model = request.model
    key = request.key or NO_KEY
    outside = sys.exception()
    with observed(limit=1) as exchange:
        try:
            async with asyncio.timeout(request.timeout):
                heard = await _ask(request, key, egress, on_text)
        except TimeoutError:
            raise TimedOut(f"{model.slug} did not finish within {request.timeout:g} s.", sent=exchange.sent) from None
        except _Consumer as stopped:
            raise stopped.error from None
        except Exception as error:  # noqa: BLE001 the edge of a library: whatever it raises becomes a fact of ours
            raise failure_of(error, exchange, model.slug, key, outside=outside) from None
        return _reply(request, heard, exchange)


class _Consumer(Exception):
    """Whoever listens to the text failed: no fault of the model's."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@dataclass(slots=True)
class _ToolText:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _Heard:
    """What a stream has brought so far."""

    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    tools: dict[int, _ToolText] = field(default_factory=dict)
    finish_reason: str = ""
    usage: Usage | None = None
    provider_id: str = ""
    model_name: str = ""
    pieces: int = 0


async def _ask(request: ModelRequest, key: str, egress: Egress, on_text: OnText | None) -> _Heard:
    names = {_function_name(tool.name): tool.name for tool in request.tools}
    answer = await litellm.acompletion(**_arguments(request, key, egress))
    # LiteLLM's wrapper invents an end and a usage where a provider sends none; what the provider sent is inside it.
    if answer.completion_stream is None:
        await answer.fetch_stream()
    stream = answer.completion_stream
    heard = _Heard()
    try:
        async for chunk in stream:
            text = _take(heard, chunk, names)
            if text and on_text is not None:
                try:
                    shown = on_text(text)
                    if inspect.isawaitable(shown):
                        await shown
                except Exception as error:
                    raise _Consumer(error) from error
    finally:
        close = getattr(stream, "aclose", None) or getattr(stream, "close", None)
        if close is not None:
            closed = close()
            if inspect.isawaitable(closed):
                await closed
    return heard


def _arguments(request: ModelRequest, key: str, egress: Egress) -> dict[str, Any]:
    model = request.model
    provider = model.model.partition("/")[0]
    if provider not in CHECKED_PROVIDERS:
        raise BadRequest(
            f"{model.slug}: the provider {provider!r} cannot use the checked transport. "
            f"Known: {', '.join(sorted(CHECKED_PROVIDERS))}; "
            "write openai/NAME with an api_base for a service of OpenAI's protocol."
        )
    arguments: dict[str, Any] = {
        "model": model.model,
        "messages": _messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_output,
        "timeout": float(request.timeout),
        "max_retries": 0,
        "api_key": key,
        "drop_params": True,  # a seed or temperature that a vendor does not know is left out, not refused
    }
    if provider == "openai":
        arguments["api_base"] = model.api_base or OPENAI_BASE
        arguments["client"] = openai_client(egress, arguments["api_base"], key)
    elif provider != "sim":
        arguments["client"] = AsyncHTTPHandler(transport=egress.transport, follow_redirects=False)
        if model.api_base:
            arguments["api_base"] = model.api_base
    else:
        arguments["sim"] = {
            "settings": dict(model.settings),
            "schema": request.output_schema,
            "slug": model.slug,
            "course": request.course,
        }
    if request.temperature is not None:
        arguments["temperature"] = request.temperature
    if request.seed is not None:
        arguments["seed"] = request.seed
    if request.idempotency_key:
        arguments["extra_headers"] = {"Idempotency-Key": request.idempotency_key}
    if request.output_schema is not None and "json" in model.capabilities and provider != "sim":
        schema = {"name": "output", "schema": dict(request.output_schema), "strict": False}
        arguments["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.tools:
        arguments["_skip_mcp_handler"] = True  # else LiteLLM imports its proxy, and fails without the package mcp
        arguments["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": _function_name(tool.name),
                    "description": tool.description,
                    "parameters": dict(tool.parameters) or {"type": "object", "properties": {}},
                },
            }
            for tool in request.tools
        ]
    return arguments


_clients: WeakKeyDictionary[Egress, dict[tuple[str, str], AsyncOpenAI]] = WeakKeyDictionary()


def openai_client(egress: Egress, base: str, key: str) -> AsyncOpenAI:
    """One client for each address and key: making one costs milliseconds."""
    clients = _clients.setdefault(egress, {})
    client = clients.get((base, key))
    if client is None:
        if len(clients) >= CLIENTS_KEPT:
            clients.clear()
        client = AsyncOpenAI(api_key=key, base_url=base, http_client=egress.client(), max_retries=0, timeout=None)
        clients[base, key] = client
    return client


def _function_name(slug: str) -> str:
    """Functions may not have dots in their names at most vendors."""
    return slug.replace(".", "__")[:64]


def _messages(request: ModelRequest) -> list[dict[str, Any]]:
    messages = [dict(message) for message in request.messages]
    for message in messages:
        if message.get("tool_calls"):
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "name": _function_name(call["function"]["name"])}}
                for call in message["tool_calls"]
            ]
    if request.output_schema is not None and "json" not in request.model.capabilities:
        schema = orjson.dumps(request.output_schema).decode()
        messages.insert(
            0, {"role": "system", "content": f"Answer with one JSON value of this JSON Schema and nothing else: {schema}"}
        )
    return messages


def _take(heard: _Heard, chunk: Any, names: Mapping[str, str]) -> str:
    """Adds one chunk to what was heard; gives its text. Chunks are OpenAI's objects or LiteLLM's generic dictionaries."""
    heard.pieces += 1
    if isinstance(chunk, dict):
        return _take_generic(heard, chunk, names)
    heard.provider_id = heard.provider_id or str(getattr(chunk, "id", "") or "")
    heard.model_name = heard.model_name or str(getattr(chunk, "model", "") or "")
    if getattr(chunk, "usage", None) is not None:
        heard.usage = _usage(chunk.usage)
    if not chunk.choices:
        return ""
    choice = chunk.choices[0]
    if choice.finish_reason:
        heard.finish_reason = choice.finish_reason
    delta = choice.delta
    if delta is None:
        return ""
    if getattr(delta, "refusal", None):
        heard.refusal.append(delta.refusal)
    for part in delta.tool_calls or ():
        tool = heard.tools.setdefault(part.index or 0, _ToolText())
        tool.id = part.id or tool.id
        if part.function is not None:
            name = part.function.name or ""
            tool.name = names.get(name, name) or tool.name
            tool.arguments += part.function.arguments or ""
    if delta.content:
        heard.text.append(delta.content)
    return delta.content or ""


def _take_generic(heard: _Heard, chunk: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if chunk.get("finish_reason"):
        heard.finish_reason = chunk["finish_reason"]
    if chunk.get("usage"):
        heard.usage = _usage(chunk["usage"])
    heard.provider_id = heard.provider_id or str(chunk.get("id") or "")
    used = chunk.get("tool_use")
    if used:
        tool = heard.tools.setdefault(used.get("index") or 0, _ToolText())
        tool.id = used.get("id") or tool.id
        name = used["function"].get("name") or ""
        tool.name = names.get(name, name) or tool.name
        tool.arguments += used["function"].get("arguments") or ""
    text: str = chunk.get("text") or ""
    if text:
        heard.text.append(text)
    return text


def _usage(usage: Any) -> Usage:
    def figure(holder: Any, name: str) -> int:
        value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
        return value if isinstance(value, int) and value > 0 else 0

    def part(name: str) -> Any:
        return usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)

    return Usage(
        input_tokens=figure(usage, "prompt_tokens"),
        cached_input_tokens=figure(part("prompt_tokens_details"), "cached_tokens"),
        output_tokens=figure(usage, "completion_tokens"),
        reasoning_tokens=figure(part("completion_tokens_details"), "reasoning_tokens"),
        source="provider",
        cache_write_tokens=figure(usage, "cache_creation_input_tokens"),
        reported=_reported(part("cost")),
        raw=_raw(usage),
    )


def _raw(usage: Any) -> Mapping[str, Any] | None:
    """What a provider sent of the usage, as far as that is JSON of a sensible length."""
    try:
        told = dict(usage) if isinstance(usage, Mapping) else usage.model_dump(mode="json", exclude_unset=True)
        return told if len(orjson.dumps(told)) <= LONGEST_RAW else None
    except (AttributeError, TypeError, ValueError):
        return None


def _reported(cost: Any) -> Decimal | None:
    """What a provider says that the call cost. That it cost 0 is kept, too, and believed of no call that has a price."""
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < MOST_REPORTED:
        return None
    return Decimal(repr(cost))


def _reply(request: ModelRequest, heard: _Heard, exchange: Exchange) -> ModelReply:
    """The answer, or the failure that it is."""
    name = request.model.slug
    text, refusal = "".join(heard.text), "".join(heard.refusal)
    if "html" in exchange.headers.get("content-type", ""):
        raise Unavailable(f"{name} answered with a web page.", sent=True)
    if not heard.finish_reason and b"[DONE]" not in exchange.tail:
        what = "broke off its answer" if text or heard.tools else "gave no answer"
        raise Unavailable(f"{name} {what}.", sent=True)
    if not text and not refusal and not heard.tools and not heard.finish_reason:
        raise Unavailable(f"{name} gave an empty answer.", sent=True)
    reply = ModelReply(
        text=text,
        usage=_believed(request, heard, text or refusal),
        finish_reason=heard.finish_reason or "stop",
        provider_id=heard.provider_id,
        model_name=heard.model_name,
        output=text,
    )
    if refusal or heard.finish_reason == "content_filter":
        raise with_reply(Refused(f"{name} declined to answer.", sent=True), reply)
    if heard.tools:
        return _with_tools(reply, heard, name)
    if request.output_schema is not None:
        return _with_output(reply, request.output_schema, name)
    return reply


def _believed(request: ModelRequest, heard: _Heard, text: str) -> Usage:
    """The provider's count, unless it is missing or says that a non-empty answer was nothing."""
    written = text + "".join(tool.arguments for tool in heard.tools.values())
    usage = heard.usage
    if usage is not None and (usage.input_tokens or usage.output_tokens or not written):
        return usage
    schema = request.output_schema
    tools = [{"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)} for tool in request.tools]
    return Usage(tokens_of_request(request.messages, schema, tools), 0, tokens_of_text(written), 0, "estimated")


def _with_tools(reply: ModelReply, heard: _Heard, name: str) -> ModelReply:
    asked = []
    for index in sorted(heard.tools):
        tool = heard.tools[index]
        try:
            arguments = orjson.loads(tool.arguments or "{}")
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict) or not tool.name:
            failure: Failure = InvalidOutput(
                f"{name} asked for the tool {tool.name!r} with arguments that are no JSON object.", sent=True
            )
            raise with_reply(failure, reply)
        asked.append(ToolRequest(tool.id or f"call_{index}", tool.name, arguments))
    return ModelReply(reply.text, reply.usage, reply.finish_reason, reply.provider_id, tuple(asked), None, reply.model_name)


def _with_output(reply: ModelReply, schema: Mapping[str, Any], name: str) -> ModelReply:
    try:
        output = orjson.loads(_unfenced(reply.text))
    except ValueError:
        cut = " It reached the limit of its output." if reply.finish_reason == "length" else ""
        raise with_reply(InvalidOutput(f"{name} did not answer with JSON.{cut}", sent=True), reply) from None
    problems = value_problems(output, schema, "output")
    if problems:
        raise with_reply(InvalidOutput(f"{name}: {'; '.join(map(str, problems[:3]))}", sent=True), reply)
    return ModelReply(reply.text, reply.usage, reply.finish_reason, reply.provider_id, (), output, reply.model_name)


def _unfenced(text: str) -> str:
    """The text without the fence of a code block, which models like to put around JSON."""
    text = text.strip()
    if text.startswith("```"):
        text = text.partition("\n")[2].rpartition("```")[0]
    return text
