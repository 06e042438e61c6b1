"""The supervisor over real servers: what it restarts, what it refuses, and that nothing is left when it ends or is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from orchestrator.addresses import socket_folder
from orchestrator.embedded import postgres, valkey
from orchestrator.embedded.places import places
from tests.orchestrator.processes import ROOT, child, descendants, end, kill, table, until

Up = Callable[[], "Stand"]


class Stand:
    """One supervisor in a process of its own, and what it said so far."""

    def __init__(self, data: Path) -> None:
        self.sockets = socket_folder(data)
        self.said = data.parent / f"said-{time.monotonic_ns()}"
        environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        command = [sys.executable, "-m", "tests.orchestrator.supervisor.stand", str(data)]
        with self.said.open("wb") as stream:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, text=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def words(self) -> str:
        return self.said.read_text(errors="replace")

    def ready(self) -> "Stand":
        until(lambda: self.process.poll() is not None or "\nready" in f"\n{self.words()}", 40, "ready")
        assert self.process.poll() is None, self.words()
        return self

    def serves(self) -> bool:
        return postgres.is_ready(self.sockets) and valkey.is_ready(self.sockets / "redis.sock")


@pytest.fixture
def data(short_folder: Path) -> Path:
    return short_folder / "data"


@pytest.fixture
def up(data: Path) -> Iterator[Up]:
    stands: list[Stand] = []

    def start() -> Stand:
        stands.append(Stand(data))
        return stands[-1]

    yield start
    for stand in stands:
        end(stand.process)


def test_it_refuses_a_second_one_quickly_and_names_the_first(up: Up) -> None:
    first = up().ready()

    second = up()
    second.process.wait(5)

    assert second.process.returncode == 1
    assert f"pid {first.pid}" in second.words()
    assert first.serves()


@pytest.mark.parametrize("word", ["bin/postgres", "valkey-server", "dummy-worker"])
def test_it_starts_again_what_was_killed(up: Up, word: str) -> None:
    stand = up().ready()
    killed = child(stand.pid, word)

    kill(killed)

    until(lambda: child(stand.pid, word) not in {None, killed}, 10, f"{word} runs again")
    until(stand.serves, 10)
    assert "by SIGKILL" in stand.words()


def test_committed_rows_outlive_a_killed_postgresql(up: Up) -> None:
    stand = up().ready()
    with psycopg.connect(host=str(stand.sockets), user="orchestrator", dbname="orchestrator") as connection:
        connection.execute("create table kept as select 42 as answer")

    killed = child(stand.pid, "bin/postgres")
    kill(killed)
    until(lambda: child(stand.pid, "bin/postgres") not in {None, killed}, 10)
    until(stand.serves, 10)

    with psycopg.connect(host=str(stand.sockets), user="orchestrator", dbname="orchestrator") as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_nothing_outlives_a_killed_supervisor_and_the_next_one_starts(up: Up) -> None:
    stand = up().ready()
    family = descendants(stand.pid)
    assert len(family) > 5

    kill(stand.pid)
    stand.process.wait()

    until(lambda: not family.keys() & table().keys(), 2.0, "all children are gone")
    assert up().ready().serves()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_everything_within_ten_seconds(up: Up, data: Path, number: signal.Signals) -> None:
    stand = up().ready()
    family = descendants(stand.pid)

    stand.process.send_signal(number)
    stand.process.wait(30)

    assert stand.process.returncode == 0
    assert not family.keys() & table().keys()
    assert "database system is shut down" in (data / "logs/postgres.log").read_text()


def test_it_can_be_stopped_while_it_starts(up: Up, data: Path) -> None:
    stand = up()
    until(lambda: (data / "up.lock").exists() or stand.process.poll() is not None)
    until(lambda: descendants(stand.pid), 20, "the first child")
    family = descendants(stand.pid)

    stand.process.terminate()
    stand.process.wait(30)

    assert not family.keys() & table().keys()
    assert up().ready().serves()


def test_it_stops_when_its_data_folder_is_taken_away(up: Up, data: Path) -> None:
    stand = up().ready()

    (data / "up.lock").unlink()

    stand.process.wait(15)
    assert "was removed or replaced" in stand.words()


def test_it_gives_up_aloud_on_a_server_that_cannot_start(up: Up, data: Path) -> None:
    end(up().ready().process)
    with (places(data).home / "postgres/postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = on\n")

    stand = up()
    stand.process.wait(30)

    assert stand.process.returncode != 0
    assert "postgres does not start" in stand.words()
    assert "no_such_setting" in stand.words()
