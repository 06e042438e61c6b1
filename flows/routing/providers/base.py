"""What is asked of a model and what comes back, in words that no vendor owns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from flows.engine.failures import Failure
from flows.routing.definitions import ModelInfo

UsageSource = Literal["provider", "estimated", "none"]
OnText = Callable[[str], Awaitable[None] | None]
"""Receives each piece of text as it arrives. What it raises ends the call."""


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """A tool that a model may ask for: its slug, what it is for, and the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool that the model asks for. `arguments` is what it wrote, parsed; not yet checked against the tool's schema."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to one model.

    `messages` are chat messages (`role`, `content`; an assistant's `tool_calls` and a tool's `tool_call_id` as OpenAI writes
    them, with the tools' own slugs as names). `max_output` tokens are always sent. `timeout` is in seconds and bounds the whole
    call.
    """

    model: ModelInfo
    messages: Sequence[Mapping[str, Any]]
    output_schema: Mapping[str, Any] | None = None
    max_output: int = 1024
    temperature: float | None = None
    seed: int | None = None
    timeout: float = 60.0
    idempotency_key: str = ""
    tools: Sequence[ToolDeclaration] = ()
    key: str = field(default="", repr=False)  # of the provider; empty where it takes none
    course: str = ""  # the run: a simulated model counts the calls of its script by it


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input_tokens` includes those read from and written to the provider's cache, `output_tokens` the reasoning. `source`
    says who counted; `reported` is what the provider says that the call cost, in dollars, where it does; `raw` is all that it sent of
    this, as it was sent."""

    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = "none"
    cache_write_tokens: int = 0
    reported: Decimal | None = None
    raw: Mapping[str, Any] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A model's answer. `output` is the object of the request's schema where it had one (and no tools were asked for), else the
    text.
    """

    text: str
    usage: Usage
    finish_reason: str
    provider_id: str = ""
    tool_calls: tuple[ToolRequest, ...] = ()
    output: Any = None
    model_name: str = ""  # what the provider says answered; prices never depend on it


@dataclass(frozen=True, slots=True)
class EmbeddingReply:
    """A vector of length 1 for each text, in their order."""

    vectors: list[list[float]]
    usage: Usage


def with_reply(failure: Failure, reply: ModelReply) -> Failure:
    """The failure of an answer that did come: what it used is still to be paid."""
    failure.reply = reply  # type: ignore[attr-defined]
    return failure


def reply_of(failure: BaseException) -> ModelReply | None:
    """The answer behind a failure (`invalid_output`, `refused`), whose usage is charged; None where nothing is known of it."""
    return getattr(failure, "reply", None)
