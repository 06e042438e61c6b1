"""A stage for the engine's benchmarks: embedded servers in a folder of their own, flows, runs and engine workers on them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import psycopg

ROOT = Path(__file__).resolve().parents[2]


class Stage:
    """One installation for one measurement. Django is set up over the first stage of a process, so each gets a process."""

    def __init__(self, folder: Path) -> None:
        from orchestrator.engine import dsn

        self.folder = folder
        self.dsn = dsn()
        self.database = psycopg.connect(self.dsn, autocommit=True)

    def import_flow(self, slug: str, text: str) -> None:
        from flows.access.actor import system
        from flows.builder.actions.import_flow import import_flow
        from flows.models import ToolEntry

        settings = {"function": "bench.noop"}
        ToolEntry.objects.get_or_create(
            slug="bench.noop", defaults={"kind": "python", "effect": "read", "repeat": "freely", "settings": settings}
        )
        import_flow(system("bench"), slug, text, publish=True)

    def start_runs(self, slug: str, count: int, value: Any) -> None:
        from flows.access.actor import system
        from flows.runs.actions.start_run import start_run

        actor = system("bench")
        for _ in range(count):
            start_run(actor, slug, value)

    def number_runs_from(self, first: int) -> None:
        self.database.execute(
            "UPDATE flows_run r SET number = x.n FROM (SELECT id, %s + row_number() OVER () - 1 AS n FROM flows_run) x WHERE r.id = x.id",
            (first,),
        )

    def analyze(self) -> None:
        self.database.execute("ANALYZE")

    def pgbench(self, script: str, clients: int, seconds: int) -> float:
        """Transactions a second."""
        from orchestrator.embedded.binaries import postgres_binaries

        file = self.folder / "script.sql"
        file.write_text(script, encoding="utf-8")
        self.analyze()
        binary = postgres_binaries().folder / "pgbench"
        command = [
            str(binary),
            "-n",
            "-M",
            "prepared",
            "-c",
            str(clients),
            "-j",
            "2",
            "-T",
            str(seconds),
            "-f",
            str(file),
            self.dsn,
        ]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"tps = ([0-9.]+)", answer.stdout)
        if answer.returncode or not found:
            raise RuntimeError(answer.stdout + answer.stderr)
        return float(found[1])

    @contextmanager
    def engines(self, count: int, capacity: int) -> Iterator[subprocess.Popen[bytes]]:
        """Engine workers as `up` starts them."""
        environment = {**os.environ, "ENGINE_CAPACITY": str(capacity), "LOG_LEVEL": "WARNING"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.zygote", "--engines", str(count)],
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)

    def wait_for_engines(self, count: int) -> None:
        self.until("SELECT count(*) >= %s FROM flows_worker", (count,), 60)

    def wait_until_ended(self, count: int, seconds: float, *, newest: bool = False) -> None:
        which = "id = (SELECT max(id::text)::uuid FROM flows_run)" if newest else "true"
        query = f"SELECT count(*) FILTER (WHERE ended_at IS NOT NULL) >= %s FROM flows_run WHERE {which}"
        self.until(query, (count,), seconds, 0.01 if newest else 0.2)
        row = self.database.execute(
            "SELECT count(*) FROM flows_run WHERE ended_at IS NOT NULL AND status <> 'succeeded'"
        ).fetchone()
        if row is None or row[0]:
            raise RuntimeError(f"{row} runs did not succeed")

    def busy_seconds(self) -> float:
        """From the first claim to the last end, by the database's clock."""
        row = self.database.execute("SELECT extract(epoch FROM max(ended_at) - min(started_at)) FROM flows_run").fetchone()
        return float(row[0]) if row else 0.0

    def newest_milliseconds(self) -> float:
        row = self.database.execute(
            "SELECT extract(epoch FROM ended_at - created_at) * 1000 FROM flows_run ORDER BY id DESC LIMIT 1"
        ).fetchone()
        return float(row[0]) if row else 0.0

    def step_times(self) -> list[float]:
        """When the effects of the newest run succeeded, in seconds, in the order of their events."""
        query = """SELECT extract(epoch FROM at)::float8 FROM flows_event WHERE type = 'step.succeeded' AND path LIKE '%.do'
            AND run_id = (SELECT max(id::text)::uuid FROM flows_run) ORDER BY seq"""
        return [row[0] for row in self.database.execute(query).fetchall()]

    def most_in_flight(self) -> int:
        """The largest number of calls that were begun and not yet settled at one time."""
        query = """SELECT max(open) FROM (SELECT sum(change) OVER (ORDER BY at, change) AS open FROM flows_call,
            LATERAL (VALUES (started_at, 1), (ended_at, -1)) AS x(at, change)) y"""
        row = self.database.execute(query).fetchone()
        return int(row[0]) if row else 0

    def commits_milliseconds(self, count: int) -> float:
        """How long so many commits of one small row take, one after another."""
        self.database.execute("CREATE TABLE IF NOT EXISTS bench_commit (n int)")
        began = time.perf_counter()
        for n in range(count):
            self.database.execute("INSERT INTO bench_commit VALUES (%s)", (n,))
        return (time.perf_counter() - began) * 1000

    def until(self, query: str, arguments: tuple[Any, ...], seconds: float, pause: float = 0.02) -> None:
        deadline = time.monotonic() + seconds
        while True:
            row = self.database.execute(query, arguments).fetchone()
            if row is not None and row[0]:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"not in {seconds:g} s: {query}")
            time.sleep(pause)  # looking often would take time from what is measured


def prepare() -> None:
    """Sets Django up over a folder of its own, which every stage of this process uses."""
    from django.conf import settings

    if not settings.configured:
        folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
        folder.chmod(0o711)
        os.environ["ORCHESTRATOR_DATA"] = str(folder / "data")
        os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)  # the folder's own goes with each stage
        os.environ["DJANGO_SETTINGS_MODULE"] = "orchestrator.settings"
        os.environ["LOG_LEVEL"] = "WARNING"
        django.setup()


@contextmanager
def staged() -> Iterator[Stage]:
    """Servers with an empty, migrated database inside the block."""
    prepare()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    import orchestrator.celery  # noqa: F401 - so that rings are sent as from any other process
    from orchestrator.embedded.servers import running_servers

    data = Path(settings.DATA_DIR)
    data.mkdir(parents=True, exist_ok=True)
    try:
        with running_servers(data, holder="bench"):
            call_command("migrate", verbosity=0)
            stage = Stage(data)
            try:
                yield stage
            finally:
                stage.database.close()
                connection.close()
    finally:
        shutil.rmtree(data, ignore_errors=True)
