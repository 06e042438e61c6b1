"""The road to models. What is behind it (LiteLLM) is imported on first use: seconds and 150 MB, which pages never pay."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from flows.access.egress import Egress
from flows.routing.providers.base import EmbeddingReply, ModelReply, ModelRequest, OnText

__all__ = ["complete", "embed", "preload"]


def preload() -> None:
    """Imports what calls need, once, before a process forks its workers. Touches no network and starts no thread."""
    _adapter()


async def complete(request: ModelRequest, on_text: OnText | None = None, *, egress: Egress) -> ModelReply:
    """Asks one model once. See `litellm_adapter.complete`."""
    reply: ModelReply = await _adapter().complete(request, on_text, egress=egress)
    return reply


async def embed(request: ModelRequest, texts: Sequence[str], *, egress: Egress) -> EmbeddingReply:
    """Has one model embed texts. See `embedding_adapter.embed`."""
    from flows.routing.providers import embedding_adapter

    reply: EmbeddingReply = await embedding_adapter.embed(request, texts, egress=egress)
    return reply


def _adapter() -> ModuleType:
    from flows.routing.providers import litellm_adapter

    return litellm_adapter
