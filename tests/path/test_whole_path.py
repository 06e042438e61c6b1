"""The whole path, as a newcomer goes it: an empty clone, ``make run``, a flow on a real document, a decision, a report, a bill.

Once with simulated models and once with an OpenAI-compatible server of a process of its own; then everything is stopped and started
again, and all is still there.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import connect

from flows.api.shapes import money_text
from flows.models.identifiers import parsed
from orchestrator.management.commands.up import RECEIVER_PORT
from orchestrator.supervisor.children import answers
from tests.bench.installation import bare_environment, free_port, started
from tests.faults.harness import Database, Outside, folder_for_servers, told
from tests.faults.invariants import settled_of, violations
from tests.orchestrator.processes import ROOT, until

SCOPES = "flows:read,runs:read,runs:write,approvals:read,approvals:write,costs:read"
TAKEN_UP_WITHIN = 4.0  # seconds until the engines, which look every two, use a changed catalogue
CLAUSES = sum(len(part.strip()) > 40 for part in (ROOT / "LICENSE").read_text().split("\n\n"))

CATALOGUE = """\
models:
  loop-1:
    {{model: openai/loop-1, api_base: "http://127.0.0.1:{models}/v1", api_key_env: LOOP_KEY, context: 32000, max_output: 1024,
     capabilities: [json, streaming], price: {{input: 0.25, cached_input: 0.025, output: 1.00}}}}
routes:
  balanced: {{candidates: [loop-1], fall_back_on: [rate_limit, timeout, unavailable, invalid_output], timeout: 20s}}
tools:
  reports.create:
    kind: http
    method: POST
    url: "http://127.0.0.1:{effects}/reports"
    effect: write
    repeat: keyed
    idempotency_header: Idempotency-Key
    reversible: true
    timeout: 15s
    arguments:
      type: object
      required: [title, lines]
      properties:
        title: {{type: string}}
        recipient: {{type: string}}
        high: {{type: integer, minimum: 0}}
        lines: {{type: array, items: {{type: string}}}}
allowed_hosts: ["127.0.0.1:{models}", "127.0.0.1:{effects}"]
"""


@dataclass
class House:
    """A clone in which everything runs."""

    clone: Path
    data: Path
    models: Outside
    effects: Outside
    port: int = field(default_factory=free_port)
    running: ExitStack = field(default_factory=ExitStack)
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return bare_environment(ORCHESTRATOR_DATA=str(self.data), LOOP_KEY="sk-loopback")

    def start(self) -> float:
        """``make run``, until its first page; the seconds that it took."""
        command = ["make", "run", f"ARGS=--port {self.port} --no-runs"]
        _, seconds = self.running.enter_context(started(command, self.port, self.clone, self.environment))
        return seconds

    def stop(self) -> None:
        """Ctrl-C."""
        self.running.close()

    def manage(self, *arguments: str) -> str:
        command = [".venv/bin/python", "manage.py", *arguments]
        answer = subprocess.run(
            command, cwd=self.clone, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert answer.returncode == 0, f"{' '.join(arguments)}: {answer.stdout}{answer.stderr}"
        return answer.stdout.strip()

    def api(self, user: str) -> httpx.Client:
        if user not in self.clients:
            self.keys[user] = self.manage("apikey", "create", "--user", user, "--scopes", SCOPES)
            headers = {"Authorization": f"Bearer {self.keys[user]}"}
            base = f"http://127.0.0.1:{self.port}/api/v1"
            self.clients[user] = httpx.Client(base_url=base, headers=headers, timeout=20, trust_env=False)
        return self.clients[user]

    def get(self, path: str, user: str = "operator", **params: Any) -> Any:
        answer = self.api(user).get(path, params=params or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all_of(self, path: str) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        items: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            page = self.get(path, limit=20, **({"after": after} if after else {}))
            items += page["items"]
            after = page["next"]
            if after is None:
                return items


class Watcher(threading.Thread):
    """A browser's socket on one run: every frame that it was sent, until the run's end."""

    def __init__(self, house: House, run: str) -> None:
        super().__init__(daemon=True)
        self.frames: list[dict[str, Any]] = []
        self.run_id = run
        self.url = f"ws://127.0.0.1:{house.port}/ws/live?topics=run:{run}&after=0"
        house.api("approver-3")
        self.key = house.keys["approver-3"]

    def run(self) -> None:
        with connect(self.url, additional_headers={"Authorization": f"Bearer {self.key}"}, proxy=None) as socket:
            while not any(frame["data"].get("type") == "run.ended" for frame in self.frames[-1:]):
                self.frames.append(json.loads(socket.recv(timeout=60)))

    def events(self) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if "seq" in frame]

    def texts(self) -> dict[str, list[dict[str, Any]]]:
        """The pieces of text of each call."""
        pieces: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for frame in self.frames:
            if frame["data"].get("type") == "text":
                pieces[frame["data"]["call"]].append(frame["data"])
        return pieces


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with folder_for_servers("path-") as folder:
        clone = folder / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        bring_working_tree(clone)
        models, effects = Outside("tests.servers.model_server", folder), Outside("tests.servers.effect_server", folder)
        home = House(clone, folder / "data", models, effects)
        try:
            with port_taken(RECEIVER_PORT):
                seconds = home.start()
            print(f"cloned, installed and started in {seconds:.1f} s")
            yield home
        finally:
            home.stop()
            models.stop()
            effects.stop()


@contextmanager
def port_taken(port: int) -> Iterator[None]:
    """The demonstration's receiver has to go elsewhere, and its tools have to follow it."""
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken already
            squatter.bind(("127.0.0.1", port))
            squatter.listen()
        yield


def bring_working_tree(clone: Path) -> None:
    """What is not committed yet is tested too. A build machine's checkout is clean, so there HEAD is what is tested."""
    command = ["git", "ls-files", "-z", "--modified", "--others", "--deleted", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = sorted({name for name in listed.split("\0") if name})
    for name in names:
        source, target = ROOT / name, clone / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        else:
            target.unlink(missing_ok=True)
    if names:
        print(f"NOTE: the working tree is dirty: HEAD was cloned, and {len(names)} uncommitted files were brought along")


def walk(house: House, capsys: pytest.CaptureFixture[str]) -> tuple[str, Watcher]:
    """One run from the command line to its end, with everything that must be so on the way. Gives its identifier."""
    for user in ("approver-3", "operator"):
        house.api(user)  # whose keys take seconds to make: the run is watched from its first call
    run = house.manage("flow", "run", "contract_check", "--input", "@LICENSE", "--as", "operator")
    watcher = Watcher(house, run)
    watcher.start()
    until(lambda: house.get(f"/runs/{run}")["state"] == "waiting_approval", 60, "the run asks")

    (request,) = [item for item in house.get("/approvals", user="approver-3", box="all")["items"] if item["run"] == run]
    assert request["title"] == "Post the report on the contract"
    assert request["show"]["clauses"] == CLAUSES == len(request["payload"]["lines"])
    refused = decide(house, "operator", request)
    assert refused.status_code == 403, refused.text
    assert house.get(f"/runs/{run}")["state"] == "waiting_approval"
    decided = decide(house, "approver-3", request)
    assert decided.status_code == 200, decided.text
    assert decided.json()["closed"] is True
    second = decide(house, "approver-3", request)
    assert second.status_code == 409, second.text
    assert second.json()["by"] == "approver-3"
    assert "approver-3 was first: approve" in second.json()["detail"]

    until(lambda: house.get(f"/runs/{run}")["ended_at"], 30, "the run ends")
    watcher.join(20)
    assert not watcher.is_alive()
    ended = house.get(f"/runs/{run}")
    assert ended["state"] == "succeeded", ended["error"]
    assert ended["output"]["clauses"] == CLAUSES
    assert ended["output"]["high"] == request["show"]["high risks"]
    assert_events(house, run, watcher)
    assert_bill(house, run, ended)
    house.finished.append(run)
    told(capsys, f"{run}: {CLAUSES} clauses, ${ended['cost']}, {ended['tokens']} tokens, {len(watcher.frames)} frames")
    return run, watcher


def decide(house: House, user: str, request: dict[str, Any]) -> httpx.Response:
    body = {"outcome": "approve", "revision": request["revision"], "comment": "Read it."}
    return house.api(user).post(f"/approvals/{request['id']}/decisions", json=body)


def assert_events(house: House, run: str, watcher: Watcher) -> None:
    """Numbered from 1 without gaps, with one end which is the last; the socket told the same."""
    events = house.all_of(f"/runs/{run}/events")
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    assert [event["type"] for event in events].count("run.ended") == 1
    assert events[-1]["type"] == "run.ended"
    assert events[-1]["data"]["status"] == "succeeded"
    told_live = [
        (frame["seq"], frame["data"]["type"], frame["data"]["path"], frame["data"]["data"]) for frame in watcher.events()
    ]
    assert told_live == [(event["seq"], event["type"], event["path"], event["data"]) for event in events]


def assert_bill(house: House, run: str, ended: dict[str, Any]) -> None:
    """The run's cost is the sum of its calls, to the last digit, over the API and in the database."""
    calls = house.all_of(f"/runs/{run}/calls")
    assert [call["state"] for call in calls] == ["succeeded"] * (CLAUSES + 1)
    assert money_text(sum((Decimal(call["cost"]) for call in calls), Decimal(0))) == ended["cost"]
    assert Decimal(ended["cost"]) > 0
    assert (ended["reserved"], ended["unpriced"]) == ("0", 0)
    assert ended["tokens"] == sum((call["input_tokens"] or 0) + (call["output_tokens"] or 0) for call in calls)
    database = Database(house.data)
    try:
        assert money_text(settled_of(database.connection, parsed("run", run))) == ended["cost"]
        assert violations(database.connection, models=house.models.lines) == []
    finally:
        database.close()


def report_of(house: House, run: str) -> dict[str, Any]:
    """The one call of the run's tool."""
    (call,) = [call for call in house.all_of(f"/runs/{run}/calls") if call["kind"] == "tool"]
    return call


@pytest.mark.slow
def test_it_goes_from_an_empty_clone_to_a_posted_report_with_simulated_models(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.manage("flow", "import", "orchestrator/demo_flows/contract_check.yaml", "--publish")

    run, _ = walk(house, capsys)

    models = [call for call in house.all_of(f"/runs/{run}/calls") if call["kind"] == "model"]
    assert {(call["target"], call["simulated"]) for call in models} == {("sim-small", True)}
    taken = [json.loads(line) for line in (house.data / "receiver.jsonl").read_text().splitlines()]
    (report,) = [each for each in taken if each["to"] == "reports"]
    call = report_of(house, run)
    assert report["key"] == call["idempotency_key"]
    assert report["body"] == call["request"]
    assert report["id"] == house.get(f"/runs/{run}")["output"]["report"]
    assert house.manage("costs", "verify").startswith("1 runs")


@pytest.mark.slow
def test_it_goes_the_same_way_with_an_openai_compatible_server(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    document = house.data / "loop.yaml"
    document.write_text(CATALOGUE.format(models=house.models.port, effects=house.effects.port))
    house.manage("catalogue", "apply", str(document))
    applied = time.monotonic()
    house.models.behaves(*([{"pieces": 5, "every": 0.5}] * CLAUSES))
    until(lambda: time.monotonic() >= applied + TAKEN_UP_WITHIN, 10, "every engine uses the changed catalogue")

    run, watcher = walk(house, capsys)

    calls = {call["id"]: call for call in house.all_of(f"/runs/{run}/calls")}
    models = [call for call in calls.values() if call["kind"] == "model"]
    assert {(call["target"], call["simulated"], call["usage_source"]) for call in models} == {("loop-1", False, "provider")}
    assert len(house.models.lines) == CLAUSES
    assert {line["authorization"] for line in house.models.lines} == {"Bearer sk-loopback"}
    assert_streamed(watcher, calls)
    (effect,) = house.effects.lines
    call = report_of(house, run)
    assert (effect["path"], effect["key"], effect["body"]) == ("/reports", call["idempotency_key"], call["request"])
    assert house.get(f"/runs/{run}")["output"]["report"] == "effect_1"
    house.manage("costs", "verify")


def assert_streamed(watcher: Watcher, calls: dict[str, dict[str, Any]]) -> None:
    """Texts came piece by piece, before their call had ended, each following on the last, and were what was then recorded."""
    texts = watcher.texts()
    assert len(texts) == CLAUSES
    ends = {frame["data"]["path"]: n for n, frame in enumerate(watcher.frames) if frame["data"].get("type") == "step.succeeded"}
    first = {
        frame["data"]["call"]: n for n, frame in reversed([*enumerate(watcher.frames)]) if frame["data"].get("type") == "text"
    }
    for call, pieces in texts.items():
        whole = "".join(piece["text"] for piece in pieces)
        assert [piece["at"] for piece in pieces] == [sum(len(p["text"]) for p in pieces[:n]) for n in range(len(pieces))]
        assert calls[call]["response"]["text"].startswith(whole)
        assert first[call] < ends[calls[call]["path"]], "text that comes after its step has ended was not streamed"
    assert sum(len(pieces) for pieces in texts.values()) >= 2 * CLAUSES


@pytest.mark.slow
def test_it_is_all_still_there_after_a_restart(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    if not house.finished:
        walk(house, capsys)
    before = {address: house.get(address, user="auditor") for address in addresses(house)}
    port = port_of_tool(house, "refunds.create")

    stopping = time.monotonic()
    house.stop()
    told(capsys, f"stopped in {time.monotonic() - stopping:.1f} s")
    assert time.monotonic() - stopping <= 11.0
    with pytest.raises(httpx.TransportError):
        house.api("approver-3").get("/runs")
    with port_taken(port):
        seconds = house.start()

    told(capsys, f"started again in {seconds:.1f} s")
    assert {address: house.get(address, user="auditor") for address in before} == before
    house.manage("costs", "verify")
    walk(house, capsys)
    assert port != (moved := port_of_tool(house, "refunds.create"))
    assert answers(moved, "/healthz"), "the demonstration's tools find their receiver"


def port_of_tool(house: House, slug: str) -> int:
    database = Database(house.data)
    try:
        address = database.one("SELECT settings ->> 'url' FROM flows_toolentry WHERE slug = %s", slug)
        return int(urlsplit(address).port or 0)
    finally:
        database.close()


def addresses(house: House) -> list[str]:
    of_runs = [f"/runs/{run}{part}" for run in house.finished for part in ("", "/events", "/calls")]
    return ["/runs", "/approvals?box=all", "/costs?by=flow", "/flows/contract_check", *of_runs]


@pytest.fixture(autouse=True)
def _own_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is that of a bare machine, also where the session uses other servers."""
    for name in ("DATABASE_URL", "REDIS_URL", "ORCHESTRATOR_DATA"):
        if name in os.environ:
            monkeypatch.delenv(name)
