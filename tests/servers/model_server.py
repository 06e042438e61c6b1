"""A model service of OpenAI's protocol on loopback: ``POST /v1/chat/completions``, streamed or not.

How a request is answered: a directive in its messages, ``[[serve: NAME key=value …]]``, else the next of the programmed
behaviours. Names: a status (``429 retry_after=2``), reset, hang, drip, html, large, redirect (see `loopback.misbehave`), and
empty, empty_text, no_usage, zero_usage, wrong_usage, cut (connection lost), cut_clean (ends without an end), no_done,
drip_stream, wrong_model, bad_json, refusal, content_filter, length, stream_error, no_stream, cached. `delay=SECONDS` waits
first, `say=TEXT` sets the answer, `call=NAME` is the tool that it calls whatever it was offered, `pieces=N` splits it,
`cost=DOLLARS` is what the service itself says that it costs. Run as a process:
``python -m tests.servers.model_server --journal FILE``.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

from flows.routing.providers.instances import instance_of
from tests.servers.loopback import Asked, Connection, Server, main, misbehave

DIRECTIVE = re.compile(r"\[\[serve:\s*(\S+)((?:\s+\w+=\S+)*)\s*\]\]")


@dataclass
class ModelServer(Server):
    key = ""  # the one that it takes; empty: any

    def noted(self, asked: Asked) -> dict[str, Any]:
        return {**super().noted(asked), "authorization": asked.headers.get("authorization", "")}

    async def handle(self, asked: Asked, connection: Connection, behave: dict[str, Any]) -> None:
        if self.key and asked.headers.get("authorization") != f"Bearer {self.key}":
            await connection.answer(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
            return
        if asked.path == "/v1/models":
            await connection.answer(200, {"object": "list", "data": [{"id": "small-1", "object": "model"}]})
            return
        if asked.path == "/v1/embeddings":
            if not await misbehave(str(behave.get("behave", "")), behave, connection):
                await connection.answer(200, _embeddings(asked.json, behave))
            return
        if asked.path != "/v1/chat/completions":
            await connection.answer(404, {"error": {"message": "no such path"}})
            return
        body = asked.json
        behave = {**behave, **_directive(body)}
        name = str(behave.get("behave", ""))
        if "delay" in behave:
            await asyncio.sleep(float(behave["delay"]))
        if await misbehave(name, behave, connection):
            return
        model = "other-model-9" if name == "wrong_model" else body["model"]
        head = {"id": f"chatcmpl-{asked.number}", "created": 1, "model": model}
        message, finish = _message(body, behave, name)
        usage = _usage(body, message, name)
        if usage and "cost" in behave:
            usage["cost"] = float(behave["cost"])
        if body.get("stream") and name != "no_stream":
            await _stream(connection, head, message, finish, usage, behave, name)
            return
        choices = [] if name == "empty" else [{"index": 0, "message": message, "finish_reason": finish}]
        answer = {**head, "object": "chat.completion", "choices": choices}
        await connection.answer(200, {**answer, "usage": usage} if usage else answer)


def _embeddings(body: dict[str, Any], behave: dict[str, Any]) -> dict[str, Any]:
    """Vectors of eight figures: how often a text has letters of each kind, so that texts of the same words are near each other."""
    texts = body["input"]
    made = [[float(sum(ord(char) % 8 == figure for char in text.lower())) for figure in range(8)] for text in texts]
    if behave.get("behave") == "bad_vectors":
        made = made[:-1]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(made)]
    usage = {"prompt_tokens": sum(len(text.split()) for text in texts)}
    return {"object": "list", "model": body["model"], "data": data, "usage": {**usage, "total_tokens": usage["prompt_tokens"]}}


def _directive(body: dict[str, Any]) -> dict[str, Any]:
    for message in reversed(body["messages"]):
        found = DIRECTIVE.search(str(message.get("content") or ""))
        if found:
            return {"behave": found[1], **dict(pair.split("=", 1) for pair in found[2].split())}
    return {}


def _message(body: dict[str, Any], behave: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    asked = str(body["messages"][-1].get("content") or "")
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if name in ("empty_text", "empty"):
        return message, "stop"
    if name == "refusal":
        return {**message, "refusal": "I cannot help with that."}, "stop"
    if name == "bad_json":
        return {**message, "content": '{"topic": '}, "stop"
    if name == "content_filter":
        return {**message, "content": "I"}, "content_filter"
    if body.get("tools") and body["messages"][-1]["role"] != "tool":
        function = body["tools"][0]["function"]
        arguments = json.dumps(instance_of(function["parameters"], asked))
        name = behave.get("call", function["name"])
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
        return {**message, "content": None, "tool_calls": [call]}, "tool_calls"
    text = behave.get("say") or (json.dumps(instance_of(schema, asked, asked.split())) if schema else f"You said: {asked[:200]}")
    if name == "length":
        return {**message, "content": text[: len(text) // 2]}, "length"
    return {**message, "content": text}, "stop"


def _usage(body: dict[str, Any], message: dict[str, Any], name: str) -> dict[str, Any] | None:
    if name == "no_usage":
        return None
    if name == "zero_usage":
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if name == "wrong_usage":
        return {"prompt_tokens": 3, "completion_tokens": 50_000, "total_tokens": 7}
    read = sum(len(str(each.get("content") or "").split()) + 4 for each in body["messages"])
    written = len(str(message.get("content") or message.get("tool_calls")).split())
    cached = {"prompt_tokens_details": {"cached_tokens": read // 2}} if name == "cached" else {}
    reasoning = {"completion_tokens_details": {"reasoning_tokens": 1}} if name == "cached" else {}
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **cached, **reasoning}


async def _stream(
    connection: Connection,
    head: dict[str, Any],
    message: dict[str, Any],
    finish: str,
    usage: Any,
    behave: dict[str, Any],
    name: str,
) -> None:
    close = name == "cut_clean"
    await connection.head(200, {"Content-Type": "text/event-stream"}, chunked=not close, close=close)

    async def send(choices: list[Any], **more: Any) -> None:
        event = {**head, "object": "chat.completion.chunk", "choices": choices, **more}
        await connection.part(b"data: " + json.dumps(event).encode() + b"\n\n")

    def choice(delta: dict[str, Any], end: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": delta, "finish_reason": end}]

    if name == "empty":
        await send([])
        await connection.part(b"data: [DONE]\n\n")
        await connection.end()
        return
    text = message.get("content") or ""
    pieces = max(int(behave.get("pieces", 4)), 1)
    size = max(-(-len(text) // pieces), 1)
    await send(choice({"role": "assistant", "content": ""}))
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    for number, part in enumerate(parts):
        if name in ("cut", "cut_clean", "stream_error", "drip_stream") and number >= len(parts) // 2:
            break
        await send(choice({"content": part}))
        if "every" in behave:
            await asyncio.sleep(float(behave["every"]))
    if name == "drip_stream":
        while True:
            await send(choice({"content": "."}))
            await asyncio.sleep(float(behave.get("every", 0.05)))
    if name == "stream_error":
        await connection.part(b'data: {"error": {"message": "overloaded", "code": 529}}\n\n')
        await connection.end()
        return
    if name in ("cut", "cut_clean"):
        connection.cut()
        return
    if message.get("refusal"):
        await send(choice({"refusal": message["refusal"]}))
    for number, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        await send(choice({"tool_calls": [{**call, "index": number, "function": {**function, "arguments": ""}}]}))
        for start in range(0, len(function["arguments"]), 8):
            piece = function["arguments"][start : start + 8]
            await send(choice({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}))
    await send(choice({}, finish))
    if usage:
        await send([], usage=usage)
    if name != "no_done":
        await connection.part(b"data: [DONE]\n\n")
    await connection.end()


if __name__ == "__main__":
    main(ModelServer)
