"""Simulated models, so that everything can be tried and drilled without a key or a network.

They go through LiteLLM's custom-provider interface (``sim/NAME``), so the road is the real one. An answer depends on the model,
the messages and the seed and on nothing else; it obeys the step's output schema, asks for tools where there are any, streams, and
reports its usage.

A model's `settings` in the catalogue: `delay` (seconds before the first word), `rate` (tokens a second; absent: all at once),
`fail` (an error class) with `every` (one call in so many of a process), `tokens` (length of a text), `script` (what goes wrong
call by call of one run: `faultscript.py`).

Directives in a message override them: ``[[sim: fail=429]]`` (a status or an error class), ``[[sim: delay=2]]``,
``[[sim: rate=20]]``, ``[[sim: tokens=300]]``, ``[[sim: say=any text]]``, ``[[sim: tool=slug {"json": 1}]]`` or
``[[sim: tool=none]]``, ``[[sim: turns=3]]`` (so often it asks for tools before it answers; ``ever``: as long as it has any),
``[[sim: calls=2]]`` (so many at a time), ``[[sim: script=fail 429 twice, then answer]]``. Several may stand in one message; the
newest message that has one wins.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import re
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from litellm.llms.custom_llm import CustomLLM, CustomLLMError
from litellm.types.utils import GenericStreamingChunk

from flows.access.egress import Headers, current_exchange
from flows.costs.tokens import tokens_of_request, tokens_of_text
from flows.routing.providers.faultscript import parse_script
from flows.routing.providers.instances import instance_of

STATUSES = {
    "rate_limit": 429,
    "timeout": 408,
    "unavailable": 503,
    "context_too_long": 413,
    "refused": 400,
    "bad_request": 400,
    "bad_key": 401,
    "invalid_output": 200,
    "cut": 200,
    "garbage": 200,
    "hang": 408,
}
GARBAGE = 'This is not what was asked for: {"}\\'
COURSES_KEPT = 1000
SAYINGS = {"refused": "The content_policy of the simulation declines this.", "rate_limit": "Slow down."}
DIRECTIVE = re.compile(r"\[\[sim:\s*([a-z]+)\s*=\s*(.*?)\s*\]\](?!\])", re.DOTALL)
WORD = re.compile(r"[^\W_]+(?:[-'_][^\W_]+)*")
PIECES = 40  # at most, of one streamed answer
LONGEST_DELAY = 3600.0
OPENINGS = ("In short", "As asked", "On the whole", "Having read this", "From what is given")
LINKS = ("concerns", "comes before", "depends on", "is about", "follows from", "belongs with", "matters for")


@dataclass(frozen=True, slots=True)
class Plan:
    """What one call will do."""

    text: str = ""
    tools: tuple[tuple[str, str], ...] = ()  # name, and arguments as JSON
    finish_reason: str = "stop"
    delay: float = 0.0
    rate: float | None = None
    fail: str = ""


class Simulated(CustomLLM):
    """The provider ``sim``."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._scripted: OrderedDict[tuple[str, str], int] = OrderedDict()  # calls by run and model, of the newest runs

    async def astreaming(self, *args: Any, **kwargs: Any) -> AsyncIterator[GenericStreamingChunk]:  # type: ignore[override]
        model, messages, options = kwargs["model"], kwargs["messages"], dict(kwargs["optional_params"])
        given = options.pop("sim", None) or {}
        slug = given.get("slug") or model
        exchange = current_exchange()
        if exchange is not None:
            exchange.requests, exchange.sent = exchange.requests + 1, True
        course = (str(given.get("course") or ""), slug)
        self._scripted[course] = self._scripted.pop(course, 0) + 1
        if len(self._scripted) > COURSES_KEPT:
            self._scripted.popitem(last=False)
        counts = next(self._calls[slug]), self._scripted[course]
        plan = planned(slug, messages, given.get("settings") or {}, given.get("schema"), options, *counts)
        await asyncio.sleep(min(plan.delay, LONGEST_DELAY))
        status = _status(plan.fail)
        if exchange is not None:
            headers = {"retry-after": "1"} if status == 429 else {}
            exchange.status, exchange.headers = status, Headers(headers)
        if status != 200:
            raise CustomLLMError(status, SAYINGS.get(plan.fail, f"Simulated: {plan.fail}."))  # type: ignore[no-untyped-call]
        identity = "sim-" + hashlib.sha256(orjson.dumps([slug, messages, plan.text, plan.tools])).hexdigest()[:20]
        async for chunk in _streamed(
            plan, identity, tokens_of_request(messages, given.get("schema"), options.get("tools") or ())
        ):
            yield chunk


def planned(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    schema: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    call: int = 1,
    call_of_run: int = 1,
) -> Plan:
    """What a simulated model will do with these messages. `call` counts the calls of this process, for `every`; `call_of_run` those of
    the run, for a script."""
    asked = _directives(messages)
    seed = hashlib.sha256(orjson.dumps([model, list(messages), options.get("seed")], default=str)).hexdigest()
    words = _words(messages)
    delay = _figure(asked.get("delay"), settings.get("delay"), 0.0) or 0.0
    rate = _figure(asked.get("rate"), settings.get("rate"), None)
    fail = asked.get("fail", "")
    if not fail and settings.get("fail") and call % max(int(settings.get("every", 1)), 1) == 0:
        fail = str(settings["fail"])
    script = asked.get("script") or settings.get("script")
    if not fail and script:
        fail = parse_script(str(script)).fault_at(call_of_run)
    if fail == "hang":
        delay = LONGEST_DELAY
    most = int(options.get("max_tokens") or 1024)
    common: dict[str, Any] = {"delay": delay, "rate": rate, "fail": fail}
    tools = _tools(asked, messages, options.get("tools") or (), words, seed)
    if tools:
        return Plan(tools=tools, finish_reason="tool_calls", **common)
    if "say" in asked:
        text = asked["say"]
    elif fail == "garbage" or (fail == "invalid_output" and schema is not None):
        text = GARBAGE
    elif schema is not None:
        text = orjson.dumps(instance_of(schema, seed, words)).decode()
    else:
        text = _prose(model, seed, words, int(_figure(asked.get("tokens"), settings.get("tokens"), 40.0) or 40))
    cut = text
    while (excess := tokens_of_text(cut) - most) > 0:
        cut = cut[: -max(excess, 1)]
    return Plan(text=cut, finish_reason="stop" if cut == text else "length", **common)


async def _streamed(plan: Plan, identity: str, input_tokens: int) -> AsyncIterator[GenericStreamingChunk]:
    total = tokens_of_text(plan.text or "".join(arguments for _, arguments in plan.tools))
    pieces = _pieces(plan.text, plan.rate)
    for number, piece in enumerate(pieces):
        if plan.fail == "cut" and number >= len(pieces) / 2:
            return
        yield _chunk(identity, text=piece)
        if plan.rate:
            await asyncio.sleep(total / plan.rate / len(pieces))
    if plan.fail == "cut":
        return
    used = {"prompt_tokens": input_tokens, "completion_tokens": max(total, 1), "total_tokens": input_tokens + max(total, 1)}
    for index, (name, arguments) in enumerate(plan.tools):
        function = {"name": name, "arguments": arguments}
        tool = {"id": f"call_{identity[4:16]}_{index}", "type": "function", "function": function, "index": index}
        yield _chunk(identity, tool=tool)
    yield _chunk(identity, finish=plan.finish_reason, usage=used)


def _chunk(identity: str, *, text: str = "", tool: Any = None, finish: str = "", usage: Any = None) -> GenericStreamingChunk:
    made: Any = {
        "text": text,
        "tool_use": tool,
        "is_finished": bool(finish),
        "finish_reason": finish,
        "usage": usage,
        "index": 0,
        "id": identity,
    }
    return made


def _pieces(text: str, rate: float | None) -> list[str]:
    if not text:
        return []
    if not rate:
        return [text]
    size = max(-(-len(text) // PIECES), 4)
    return [text[start : start + size] for start in range(0, len(text), size)]


def _status(fail: str) -> int:
    if not fail:
        return 200
    return int(fail) if fail.isdigit() else STATUSES.get(fail, 500)


def _directives(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    for message in reversed(messages):
        found = DIRECTIVE.findall(_text(message))
        if found:
            return dict(found)
    return {}


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return " ".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _words(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The words of what was asked last, which the answer is made of."""
    for message in reversed(messages):
        if message.get("role") in ("user", "tool"):
            words = WORD.findall(DIRECTIVE.sub(" ", _text(message)))
            if words:
                return list(dict.fromkeys(words))[:200]
    return []


def _prose(model: str, seed: str, words: Sequence[str], tokens: int) -> str:
    source = random.Random(seed)  # noqa: S311 it must be repeatable
    known = [word for word in words if len(word) > 3] or list(words) or ["nothing"]
    sentences = [f"(simulated by {model})"]
    while tokens_of_text(" ".join(sentences)) < tokens:
        opening = source.choice(OPENINGS)
        sentences.append(f"{opening}, {source.choice(known)} {source.choice(LINKS)} {source.choice(known)}.")
    return " ".join(sentences)


def _tools(
    asked: Mapping[str, str],
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    words: Sequence[str],
    seed: str,
) -> tuple[tuple[str, str], ...]:
    """The calls to ask for; none where it has asked as often as it was told to, which is once."""
    had = sum(bool(message.get("tool_calls")) for message in messages)
    turns = float("inf") if asked.get("turns") == "ever" else _figure(asked.get("turns"), None, 1.0) or 0.0
    if had >= turns or (messages and messages[-1].get("role") == "tool" and "turns" not in asked):
        return ()
    number = int(_figure(asked.get("calls"), None, 1.0) or 1)
    found = (_tool(asked.get("tool"), tools, words, f"{seed}{index or ''}") for index in range(number))
    return tuple(each for each in found if each is not None)


def _tool(asked: str | None, tools: Sequence[Mapping[str, Any]], words: Sequence[str], seed: str) -> tuple[str, str] | None:
    """The tool to ask for with its arguments as JSON: the one that a directive or the prompt names, else the first, once."""
    if not tools or asked == "none":
        return None
    functions = {tool["function"]["name"]: tool["function"] for tool in tools}
    if asked:
        name, _, given = asked.partition(" ")
        name = name.replace(".", "__")
        if name in functions and given.strip():
            return name, given.strip()
    else:
        name = ""
    if name not in functions:
        lowered = {word.lower() for word in words}
        name = next(
            (known for known in functions if lowered & set(re.split(r"[^a-z0-9]+", known.lower()))), next(iter(functions))
        )
    return name, orjson.dumps(instance_of(functions[name].get("parameters") or {"type": "object"}, seed, words)).decode()


def _figure(asked: str | None, setting: Any, default: float | None) -> float | None:
    for value in (asked, setting):
        if value is None:
            continue
        try:
            return max(float(value), 0.0)
        except (TypeError, ValueError):
            continue
    return default
