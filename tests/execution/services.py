"""Model services on loopback for an engine: a pair that a route falls back through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from flows.access.egress import Egress
from flows.models import AllowedHost
from flows.routing.definitions import ModelInfo
from flows.routing.providers import complete
from flows.routing.providers.base import ModelRequest
from tests.execution.runs import make_model, make_route
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

Pair = tuple[ModelServer, ModelServer]

CHAIN = ("rate_limit", "timeout", "unavailable", "invalid_output")
TOPIC = {"type": "object", "required": ["topic"], "properties": {"topic": {"enum": ["refund", "other"]}}}


@contextmanager
def two_services() -> Iterator[Pair]:
    """Two services that have been called once: the first call of a process imports a client for seconds, which no test is about."""
    with running(ModelServer()) as first, running(ModelServer()) as second:
        asyncio.run(_warm(first))
        yield first, second


async def _warm(server: ModelServer) -> None:
    request = ModelRequest(ModelInfo("warm", "openai/warm", f"{server.base}/v1"), [{"role": "user", "content": "x"}])
    await complete(request, egress=Egress(lambda: frozenset({server.host})))


def in_catalogue(services: Pair, timeout: float = 1.0) -> None:
    """`primary` and `backup`, behind the route `pair`; a call may take so many seconds."""
    for name, server in zip(("primary", "backup"), services, strict=True):
        server.asked.clear()
        server.program.clear()
        AllowedHost.objects.create(host=server.host)
        make_model(name, model=f"openai/{name}", api_base=f"{server.base}/v1", capabilities=["json", "tools", "streaming"])
    make_route("pair", "primary", "backup", fall_back_on=CHAIN, timeout=timeout)
