"""Embeddings through LiteLLM: one request, with the client, the key, the deadline and the facts of any call of a model."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Sequence
from typing import Any

import litellm

from flows.access.egress import Egress, observed
from flows.costs.tokens import tokens_of_text
from flows.engine.failures import BadRequest, InvalidOutput, TimedOut
from flows.routing.providers.base import EmbeddingReply, ModelReply, ModelRequest, Usage, with_reply
from flows.routing.providers.classify import failure_of
from flows.routing.providers.litellm_adapter import NO_KEY, OPENAI_BASE, openai_client


async def embed(request: ModelRequest, texts: Sequence[str], *, egress: Egress) -> EmbeddingReply:
    """A vector of length 1 for each text. Sends exactly one HTTP request and ends within `request.timeout` seconds.

    Raises the failures of `flows/engine/failures.py`; where an answer came that cannot be used, `reply_of(failure)` has its usage.
    """
    model = request.model
    if model.model.partition("/")[0] != "openai":
        raise BadRequest(
            f"{model.slug} cannot make embeddings here: only services of OpenAI's protocol do. Write openai/NAME with an api_base."
        )
    key = request.key or NO_KEY
    outside = sys.exception()
    base = model.api_base or OPENAI_BASE
    with observed(limit=1) as exchange:
        try:
            async with asyncio.timeout(request.timeout):
                answer = await litellm.aembedding(
                    model=model.model,
                    input=list(texts),
                    api_base=base,
                    api_key=key,
                    client=openai_client(egress, base, key),
                    encoding_format="float",
                    timeout=float(request.timeout),
                    max_retries=0,
                )
        except TimeoutError:
            raise TimedOut(f"{model.slug} did not finish within {request.timeout:g} s.", sent=exchange.sent) from None
        except Exception as error:  # noqa: BLE001 the edge of a library: whatever it raises becomes a fact of ours
            raise failure_of(error, exchange, model.slug, key, outside=outside) from None
    usage = _usage(answer, texts)
    try:
        vectors = [_unit(each["embedding"]) for each in sorted(answer.data, key=lambda each: each["index"])]
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1:
            raise ValueError(f"{len(vectors)} vectors for {len(texts)} texts, or of several lengths")
    except (ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        failure = InvalidOutput(f"{model.slug} answered with what are no embeddings: {str(error)[:200]}.", sent=True)
        raise with_reply(failure, ModelReply("", usage, "stop")) from None
    return EmbeddingReply(vectors, usage)


def _unit(values: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(float(value) ** 2 for value in values))
    if not math.isfinite(length):
        raise ValueError("a figure that is none")
    return [float(value) / length for value in values]


def _usage(answer: Any, texts: Sequence[str]) -> Usage:
    """What the service counted, or, where it did not, our own estimate."""
    counted = int(getattr(getattr(answer, "usage", None), "prompt_tokens", 0) or 0)
    if counted > 0:
        return Usage(input_tokens=counted, source="provider")
    return Usage(input_tokens=sum(tokens_of_text(text) for text in texts), source="estimated")
