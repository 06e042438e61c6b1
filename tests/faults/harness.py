"""A whole installation to break: ``manage.py up`` with a short lease in a folder of its own, a model server and an effect server
outside of it, each a process. Everything is done through the commands and the API; the database is only read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg

from flows.models.identifiers import parsed, shown
from orchestrator.addresses import socket_folder
from orchestrator.supervisor.children import answers
from tests.bench.installation import bare_environment, free_port
from tests.faults.flows import CLAUSES, ERRORS, MARKS, NESTED, PARKING, agent, asking, catalogue, chain, purse, remembering, wide
from tests.faults.invariants import violations
from tests.orchestrator.processes import ROOT, descendants, end, table, until

LEASE, SCAN = 3.0, 0.25  # seconds
MARGIN = 2.0  # seconds that a busy machine gets on top
ENGINES = 3
ENDED = "('succeeded', 'failed', 'cancelled', 'budget_stopped')"


class Outside:
    """A server of `tests.servers` as a process of its own, with its journal."""

    def __init__(self, module: str, folder: Path) -> None:
        self.journal = folder / f"{module.rpartition('.')[2]}.jsonl"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "--journal", str(self.journal)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it was asked, in order."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.exists() else []

    def of(self, run: UUID) -> list[dict[str, Any]]:
        return [line for line in self.lines if shown("run", run) in json.dumps(line["body"])]

    def in_flight(self) -> int:
        return int(httpx.get(f"http://127.0.0.1:{self.port}/_served").json()["in_flight"])

    def behaves(self, *behaviours: dict[str, Any]) -> None:
        """How the next requests are answered, one each."""
        httpx.post(f"http://127.0.0.1:{self.port}/_program", json=behaviours).raise_for_status()

    def stop(self) -> None:
        end(self.process)


class Database:
    """Reading an installation's database, also where it was killed meanwhile."""

    def __init__(self, data: Path) -> None:
        self.dsn = f"host={socket_folder(data)} port=5432 user=orchestrator dbname=orchestrator"
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def connection(self) -> psycopg.Connection[Any]:
        deadline = time.monotonic() + 20
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = psycopg.connect(self.dsn, autocommit=True, connect_timeout=2)
                self._connection.execute("SELECT 1")
                return self._connection
            except psycopg.OperationalError:
                self.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def rows(self, query: str, *values: Any) -> list[Any]:
        while True:
            try:
                return self.connection.execute(query, values).fetchall()
            except psycopg.OperationalError:
                self.close()

    def one(self, query: str, *values: Any) -> Any:
        rows = self.rows(query, *values)
        return rows[0][0] if rows else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Site:
    """The installation, its outside world, and what the tests do to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.faultpoints = folder / "faultpoint"
        self.port = free_port()
        self.models = Outside("tests.servers.model_server", folder)
        self.effects = Outside("tests.faults.effects", folder)
        self.database = Database(self.data)
        self.environment = bare_environment(
            ORCHESTRATOR_DATA=str(self.data),
            ORCHESTRATOR_FAULTPOINTS=str(self.faultpoints),
            DJANGO_SETTINGS_MODULE="orchestrator.settings",
            LEASE=str(LEASE),
            SCAN_PERIOD=str(SCAN),
            LOOP_KEY="sk-loopback",
        )
        self.process: subprocess.Popen[str] | None = None
        self.starts = 0
        self._api: dict[str, httpx.Client] = {}

    # ------------------------------------------------------------------ its life

    def start(self) -> float:
        """`up`, until its engines beat; the seconds that it took."""
        began = time.monotonic()
        self.starts += 1
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), "--no-runs", "--engines", str(ENGINES)]
        with self.said.open("wb") as stream:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=stream, stderr=stream, text=True)
        until(lambda: self.ended or answers(self.port, "/healthz"), 240, "the pages")
        assert not self.ended, self.said.read_text()
        self.wait_for_engines()
        return time.monotonic() - began

    def install(self) -> None:
        """The catalogue, the flows and the keys of the tests."""
        document = self.folder / "catalogue.yaml"
        document.write_text(catalogue(self.models.port, self.effects.port))
        self.manage("catalogue", "apply", str(document))
        applied = time.monotonic()
        for user in ("owner", "operator", "approver-3"):
            scopes = "flows:read,flows:write,runs:read,runs:write,approvals:read,approvals:write"
            self._api[user] = self.client(self.manage("apikey", "create", "--user", user, "--scopes", scopes))
        documents = {
            "marks": MARKS,
            "nested": NESTED,
            "clauses": CLAUSES,
            "parking": PARKING,
            "keyed": chain("effects.keyed"),
            "never": chain("effects.never"),
            "lookup": chain("effects.lookup"),
            "agent-keyed": agent("effects.keyed"),
            "agent-never": agent("effects.never"),
            "remembering": remembering(),
            "purse": purse(16, 4),
            "large-purse": purse(64, 20),
            "errors": ERRORS,
            "wide": wide(300, 6.0),
            "asking": asking(),
        }
        for slug, text in documents.items():
            self.said_well(self.api().put(f"/flows/{slug}", content=text, headers={"Content-Type": "application/yaml"}))
            self.said_well(self.api().post(f"/flows/{slug}/publication", json={}))
        until(lambda: time.monotonic() > applied + 3 * SCAN, 10, "every engine takes up a changed catalogue in two scans")

    def repair(self) -> None:
        """What an earlier test may have left: nothing is armed, everything runs, no run is being driven."""
        self.faultpoints.unlink(missing_ok=True)
        if self.process is None or self.ended:
            self.start()
        until(lambda: answers(self.port, "/healthz"), 30, "the pages")
        self.wait_for_engines()

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)
        for server in (self.models, self.effects):
            server.stop()
        self.database.close()

    @property
    def said(self) -> Path:
        return self.folder / f"said-{self.starts}"

    @property
    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def wait_for_engines(self) -> None:
        fresh = "SELECT count(DISTINCT pid) FROM flows_worker WHERE NOT draining AND beat > clock_timestamp() - interval '1.5 s'"
        until(lambda: self.database.one(fresh) == ENGINES == len(self.engines()), 60, "the engines beat")

    def engines(self) -> set[int]:
        processes = table()
        zygote = next((pid for pid, command in descendants(self.pid).items() if "orchestrator.zygote" in command), None)
        return {pid for pid, (parent, _) in processes.items() if parent == zygote}

    def child(self, *words: str) -> int:
        """The direct child of `up` whose command holds one of these words."""
        found = [pid for pid, (parent, said) in table().items() if parent == self.pid and any(word in said for word in words)]
        assert len(found) == 1, (words, found)
        return found[0]

    # ------------------------------------------------------------------ commands and API

    def manage(self, *arguments: str) -> str:
        answer = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            check=False,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def client(self, key: str) -> httpx.Client:
        """The API for whoever holds this key."""
        base = f"http://127.0.0.1:{self.port}/api/v1"
        return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key.strip()}"}, timeout=20, trust_env=False)

    def api(self, user: str = "owner") -> httpx.Client:
        return self._api[user]

    def said_well(self, answer: httpx.Response) -> Any:
        assert answer.is_success, f"{answer.status_code} {answer.text}"
        return answer.json()

    def start_run(self, slug: str, value: Any = None) -> UUID:
        answer = self.said_well(self.api().post(f"/flows/{slug}/runs", json={"input": {} if value is None else value}))
        return parsed("run", answer["id"])

    def start_clauses(self, count: int, delay: float) -> UUID:
        return self.start_run("clauses", {"clauses": [f"clause number {n}" for n in range(count)], "delay": delay})

    # ------------------------------------------------------------------ looking

    def status(self, run: UUID) -> str:
        return str(self.database.one("SELECT status FROM flows_run WHERE id = %s", run))

    def wait_for_end(self, run: UUID, seconds: float = 40.0) -> str:
        until(lambda: self.database.rows(f"SELECT 1 FROM flows_run WHERE id = %s AND status IN {ENDED}", run), seconds, "the end")
        return self.status(run)

    def wait_for_question(self, run: UUID, seconds: float = 40.0) -> dict[str, Any]:
        """Until the run rests on a question of the engine; the request as the API gives it."""
        resting = "SELECT 1 FROM flows_run WHERE id = %s AND status = 'waiting_approval'"
        until(lambda: self.database.rows(resting, run), seconds, "the question")
        found = self.said_well(self.api().get("/approvals", params={"box": "mine", "limit": 50}))["items"]
        return next(dict(request) for request in found if request["run"] == shown("run", run))

    def owner(self, run: UUID) -> int:
        """The process that drives the run."""
        query = "SELECT w.pid FROM flows_run r JOIN flows_worker w ON w.id = r.owner WHERE r.id = %s"
        until(lambda: self.database.one(query, run), 15, "an owner")
        return int(self.database.one(query, run))

    def events(self, run: UUID, type_: str) -> list[float]:
        """When events of this type were written, in seconds since the epoch."""
        query = "SELECT extract(epoch FROM at)::float8 FROM flows_event WHERE run_id = %s AND type = %s ORDER BY seq"
        return [row[0] for row in self.database.rows(query, run, type_)]

    def calls(self, run: UUID) -> dict[str, int]:
        """How many calls of the run are in each state."""
        return dict(self.database.rows("SELECT status, count(*) FROM flows_call WHERE run_id = %s GROUP BY status", run))

    def wait_for_calls(self, run: UUID, *, succeeded: int, in_flight: int) -> dict[str, int]:
        """Until so many have succeeded, and exactly so many are recorded as started and are being answered."""

        def there() -> bool:
            calls = self.calls(run)
            return calls.get("succeeded", 0) >= succeeded and calls.get("started", 0) == in_flight == self.models.in_flight()

        until(there, 40, f"{succeeded} calls done and {in_flight} in flight")
        return self.calls(run)

    def violations(self) -> list[str]:
        return violations(self.database.connection, models=self.models.lines, effects=self.effects.lines, lease=LEASE)

    # ------------------------------------------------------------------ breaking

    def arm(self, name: str, time_: int) -> None:
        draft = self.faultpoints.with_suffix(".new")
        draft.write_text(f"{name} {time_} {time.monotonic_ns()}")
        draft.rename(self.faultpoints)

    @contextmanager
    def watched_purses(self) -> Iterator[list[str]]:
        """Looks all the time whether a run has spent and reserved more than its limit; what it saw."""
        seen: list[str] = []
        done = threading.Event()

        def look() -> None:
            watch = Database(self.data)
            query = "SELECT id, spent, reserved, cap_cost FROM flows_run WHERE spent + reserved > cap_cost"
            while not done.wait(0.01):
                seen.extend(map(str, watch.rows(query)))
            watch.close()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            done.set()
            thread.join(25)


def kill(*pids: int) -> float:
    """SIGKILL; the time of it, in seconds since the epoch."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return time.time()


@contextmanager
def folder_for_servers(prefix: str = "o-") -> Iterator[Path]:
    """Short, because a socket's path has little room, and passable, because root's servers are not root."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def told(capsys: Any, line: str) -> None:
    """A figure for whoever reads the test's output."""
    with capsys.disabled(), suppress(OSError):
        print(f"\n    {line}", end="")


def together(work: Sequence[threading.Thread], seconds: float = 60) -> None:
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(seconds)
        assert not thread.is_alive()
