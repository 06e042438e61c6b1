"""Embedding texts by a model of the catalogue: the one way in which step kinds do it, each call in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from flows.costs.prices import upper_bound
from flows.costs.tokens import tokens_of_text
from flows.engine.failures import Failure
from flows.execution.context import Intent, StepContext
from flows.execution.jsontext import dump
from flows.routing.providers import embed
from flows.routing.providers.base import EmbeddingReply, ModelReply, ModelRequest
from flows.steps.asking import DEFAULT_TIMEOUT, failed, require_known_price, settled
from flows.steps.services import StepServices


async def embed_texts(context: StepContext, slug: str, texts: Sequence[str], why: str, *, last: bool = True) -> list[list[float]]:
    """A vector for each text, by the model of this name. `last` is as of `StepContext.settle`. Raises the failure of the call."""
    services: StepServices = context.services
    model = services.table.model(slug)
    tokens = sum(tokens_of_text(text) for text in texts)
    reserve = upper_bound(model.price, tokens, 0)
    require_known_price(context, model, reserve)
    call = await context.begin(
        Intent(
            kind="model",
            target=model.slug,
            request=dump({"model": model.slug, "input": list(texts)}),
            reason=why,
            reserve=reserve or Decimal(0),
            priced=reserve is not None,
            allow_unpriced=model.unpriced == "allow",
            reserve_tokens=tokens,
            price=model.price.id if model.price is not None else None,
            simulated=model.simulated,
        )
    )
    try:
        key = await services.key_of(model)
        request = ModelRequest(model, (), timeout=context.time_left(DEFAULT_TIMEOUT), idempotency_key=str(call.id), key=key)
        reply: EmbeddingReply = await embed(request, texts, egress=services.egress)
    except Failure as failure:
        context.settle(call, failed(call, model, failure))
        raise
    facts = {"vectors": len(reply.vectors), "dimensions": len(reply.vectors[0]) if reply.vectors else 0}
    context.settle(call, settled("succeeded", model, ModelReply("", reply.usage, "stop", output=facts)), last=last)
    return reply.vectors
