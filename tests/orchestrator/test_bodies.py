"""A body that is too large is refused before it is read, in the words of whoever sent it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.bodies import bounded


async def _never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("it was read")


@pytest.mark.parametrize(
    ("accept", "kind", "said"),
    [
        (b"text/html,application/xhtml+xml", b"text/html; charset=utf-8", "That is too large"),
        (b"application/json", b"application/problem+json", "The request is larger than 1,000 bytes."),
    ],
)
async def test_a_page_says_it_as_a_page_and_a_program_gets_a_problem(
    accept: bytes, kind: bytes, said: str, settings: Any
) -> None:
    settings.UPLOAD_LIMIT = 1000
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body was read")

    await bounded(_never)({"headers": [(b"content-length", b"5000000"), (b"accept", accept)]}, receive, send)

    assert (sent[0]["status"], dict(sent[0]["headers"])[b"content-type"]) == (413, kind)
    assert said in sent[1]["body"].decode()
    assert kind.startswith(b"text") or json.loads(sent[1]["body"])["type"] == "/problems/too-large"
