"""The demonstration's receiver, over real HTTP: it applies each key once, also across restarts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.management.commands.up import bound
from orchestrator.receiver import LARGEST_BODY, Receiver
from orchestrator.supervisor.children import answers
from tests.orchestrator.processes import ROOT, end, until


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with bound(None, 9100) as listening:
        port = listening.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.receiver", "--fd", str(listening.fileno())],
            cwd=ROOT,
            env=dict(os.environ, ORCHESTRATOR_DATA=str(tmp_path), ORCHESTRATOR_TEST_DATA=str(tmp_path)),
            pass_fds=[listening.fileno()],
            text=True,
        )
        until(lambda: answers(port, "/healthz"))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
        end(process)


def test_it_takes_refunds_mail_and_reports(client: httpx.Client) -> None:
    for path in ("refunds", "mail", "reports"):
        answer = client.post(f"/{path}", json={"amount": 12.5, "text": "grüße"})
        assert answer.status_code == 201
        assert answer.json()["amount"] == 12.5
        assert answer.json()["id"].startswith({"refunds": "refund_", "mail": "mail_", "reports": "report_"}[path])

    assert [item["to"] for item in client.get("/").json()["items"]] == ["refunds", "mail", "reports"]


def test_the_same_key_is_applied_once_and_answered_alike(client: httpx.Client) -> None:
    first = client.post("/refunds", json={"amount": 5}, headers={"Idempotency-Key": "k1"})
    again = client.post("/refunds", json={"amount": 5}, headers={"Idempotency-Key": "k1"})

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(client.get("/").json()["items"]) == 1


def test_it_takes_a_letter_and_cuts_the_line_where_it_is_told_to(client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/letters", json={"to": "Ann", "text": "[[receiver: hang up]]"})

    assert [each["to"] for each in client.get("/").json()["items"]] == ["letters"]


def test_the_same_key_with_another_body_is_a_conflict(client: httpx.Client) -> None:
    client.post("/refunds", json={"amount": 5}, headers={"Idempotency-Key": "k1"})

    assert client.post("/refunds", json={"amount": 6}, headers={"Idempotency-Key": "k1"}).status_code == 409
    assert client.post("/mail", json={"amount": 6}, headers={"Idempotency-Key": "k1"}).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/refunds", b"{not json", 400),
        ("POST", "/refunds", b"[1]", 400),
        ("POST", "/refunds", b"\xff\xfe", 400),
        ("POST", "/elsewhere", b"{}", 404),
        ("GET", "/refunds", b"", 405),
        ("POST", "/refunds", b" " * (LARGEST_BODY + 1), 413),
    ],
)
def test_it_refuses_what_it_cannot_take(client: httpx.Client, method: str, path: str, body: bytes, status: int) -> None:
    answer = client.request(method, path, content=body)

    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_key_is_honoured_after_a_crash_in_the_middle_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "receiver.jsonl"
    before = Receiver(file)
    _, answer = before.take("refunds", {"amount": 5}, "k1")
    with file.open("a") as stream:
        stream.write('{"id": "refund_cut')

    after = Receiver(file)
    after.load()

    assert after.take("refunds", {"amount": 5}, "k1")[1] == answer
    after.take("mail", {"text": "next"}, None)
    assert [json.loads(line)["to"] for line in file.read_text().splitlines()] == ["refunds", "mail"]
