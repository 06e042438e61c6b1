"""A real peer: LiteLLM's own proxy, installed from the package index into an environment of this test's own, as an upstream."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest

from checks.locks import ROOT
from flows.access.egress import Egress
from flows.engine.failures import BadKey, BadRequest
from flows.routing.definitions import ModelInfo
from flows.routing.keycheck import check_provider
from flows.routing.providers import complete
from flows.routing.providers.base import ModelReply, ModelRequest, ToolDeclaration
from tests.servers.environments import python_with
from tests.servers.loopback import running
from tests.servers.model_server import ModelServer

pytestmark = pytest.mark.slow

STARTS = 300  # seconds
LOCK = ROOT / "requirements-proxy.lock"
KEY = "sk-proxy-test"
CONFIG = """\
model_list:
  - model_name: relayed
    litellm_params: {{model: openai/small-1, api_base: "{base}/v1", api_key: none}}
  - model_name: mocked
    litellm_params: {{model: openai/nothing, api_key: none, mock_response: "An answer of the proxy's own."}}
general_settings: {{master_key: {key}}}
litellm_settings: {{num_retries: 0, telemetry: false}}
"""


@pytest.fixture(scope="module")
def behind() -> Iterator[ModelServer]:
    """The model that the proxy asks."""
    with running(ModelServer()) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(behind: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The ``host:port`` of a proxy of the version that the product has; what it needs beside is its own, as its lock says."""
    folder = tmp_path_factory.mktemp("proxy")
    assert f"\nlitellm=={version('litellm')} " in LOCK.read_text(encoding="utf-8"), "the lock is of another version: make lock"
    python = python_with(LOCK, folder)
    config, log = folder / "config.yaml", folder / "log"
    config.write_text(CONFIG.format(base=behind.base, key=KEY))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    own = {"HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    left_out = ("LITELLM", "DATABASE", "REDIS", "DJANGO", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)} | own
    command = [str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)
    try:
        _await(process, port, log)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + STARTS
    while True:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        assert time.monotonic() < until, log.read_text(errors="replace")[-3000:]
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/liveliness", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)


async def ask(proxy: str, name: str, text: str = "Which topic?", on_text: Any = None, **more: Any) -> ModelReply:
    model = ModelInfo(name, f"openai/{name}", f"http://{proxy}/v1", capabilities=frozenset({"tools", "json"}))
    request = ModelRequest(model, [{"role": "user", "content": text}], timeout=30.0, **{"key": KEY, **more})
    return await complete(request, on_text, egress=Egress(lambda: frozenset({proxy})))


async def test_its_own_answer_arrives_streamed(proxy: str) -> None:
    pieces: list[str] = []

    reply = await ask(proxy, "mocked", on_text=pieces.append)

    assert reply.text == "An answer of the proxy's own." == "".join(pieces)
    assert len(pieces) > 1


async def test_a_model_behind_it_streams_with_the_usage_that_it_counted(proxy: str, behind: ModelServer) -> None:
    behind.asked.clear()
    pieces: list[str] = []

    reply = await ask(proxy, "relayed", on_text=pieces.append)

    assert reply.text == "".join(pieces)
    assert reply.text
    assert reply.usage.source == "provider"
    assert reply.usage.input_tokens
    assert reply.usage.output_tokens
    assert len(behind.asked) == 1


async def test_a_tool_is_asked_for_through_it(proxy: str) -> None:
    parameters = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}}
    tool = ToolDeclaration("refunds.create", "Gives money back", parameters)

    reply = await ask(proxy, "relayed", "Give 12 back", tools=[tool])

    (asked,) = reply.tool_calls
    assert asked.name == "refunds.create"
    assert set(asked.arguments) == {"amount"}


async def test_an_answer_has_the_form_that_was_asked_for(proxy: str) -> None:
    schema = {"type": "object", "required": ["topic"], "properties": {"topic": {"enum": ["refund", "other"]}}}

    reply = await ask(proxy, "relayed", output_schema=schema)

    assert set(reply.output) == {"topic"}


async def test_its_key_is_checked_and_what_it_says_of_a_wrong_one_is_told(proxy: str) -> None:
    egress = Egress(lambda: frozenset({proxy}))
    assert (await check_provider("openai/relayed", f"http://{proxy}/v1", KEY, egress)).said.endswith("It offers relayed.")

    checked = await check_provider("openai/relayed", f"http://{proxy}/v1", "no-key-of-its-own", egress)

    assert checked.verdict != "taken"  # without a database the proxy answers 400 to keys that it does not know
    assert checked.said.startswith("The provider answered 4")
    assert "no-key-of-its-own" not in checked.said
    with pytest.raises((BadKey, BadRequest)):
        await ask(proxy, "relayed", key="no-key-of-its-own")
    await egress.aclose()
