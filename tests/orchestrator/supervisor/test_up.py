"""The whole of ``manage.py up``: the product's own processes under the supervisor."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.addresses import socket_folder
from orchestrator.embedded import valkey
from orchestrator.supervisor.children import answers
from tests.bench.installation import free_port
from tests.orchestrator.processes import ROOT, child, descendants, end, kill, table, until


class Installation:
    """One ``up`` in a process of its own."""

    def __init__(self, data: Path, *arguments: str) -> None:
        self.data = data
        self.port = free_port()
        self.said = data.parent / f"said-{self.port}-{id(self)}"
        environment = dict(os.environ, DJANGO_SETTINGS_MODULE="orchestrator.settings", ORCHESTRATOR_DATA=str(data))
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), "--no-runs", "--engines", "2", *arguments]
        with self.said.open("wb") as stream:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, text=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def words(self) -> str:
        return self.said.read_text(errors="replace")

    def zygote(self) -> int | None:
        return child(self.pid, "orchestrator.zygote")

    def engines(self) -> set[int]:
        zygote = self.zygote()
        return {pid for pid, (parent, _) in table().items() if parent == zygote} if zygote else set()

    def ready(self) -> "Installation":
        until(lambda: self.process.poll() is not None or "Ctrl-C stops it." in self.words(), 60, "the address")
        assert self.process.poll() is None, self.words()
        until(lambda: len(self.engines()) == 2, 60, "two engines")
        return self


@pytest.fixture(scope="module")
def running() -> Iterator[list[Installation]]:
    """The installation that the tests share, once it was started; the last one is the one that runs."""
    started: list[Installation] = []
    yield started
    for installation in started:
        end(installation.process)


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="up") as folder:  # short: sockets in it have short names
        yield Path(folder) / "data"


@pytest.fixture
def up(data: Path, running: list[Installation]) -> Installation:
    """The installation, ready: as the test before left it, or started again where that one ended it."""
    if not running or running[-1].process.poll() is not None:
        running.append(Installation(data))
    return running[-1].ready()


def test_it_prints_the_address_and_serves_it(up: Installation) -> None:
    assert f"http://127.0.0.1:{up.port}" in up.words()
    assert answers(up.port, "/healthz")
    assert child(up.pid, "orchestrator.receiver")
    until(lambda: len(descendants(child(up.pid, "celery") or 0)) == 2, 30, "the tools worker's pool")


def test_killed_children_come_back_and_browsers_wait_meanwhile(up: Installation) -> None:
    web, engine = child(up.pid, "uvicorn"), max(up.engines())

    kill(web)
    kill(engine)

    until(lambda: child(up.pid, "uvicorn") not in {None, web}, 10)
    until(lambda: answers(up.port, "/healthz"), 15)
    until(lambda: len(up.engines() - {engine}) == 2, 10)
    assert "web ended (by SIGKILL)" in up.words()


def test_a_killed_supervisor_takes_every_generation_with_it(up: Installation) -> None:
    until(lambda: len(descendants(child(up.pid, "celery") or 0)) == 2, 30, "the tools worker's pool")
    family = descendants(up.pid)

    kill(up.pid)
    up.process.wait()

    until(lambda: not family.keys() & table().keys(), 2.0)
    assert not answers(up.port, "/healthz")


def test_a_killed_zygote_takes_its_engines_with_it(up: Installation) -> None:
    zygote, engines = up.zygote(), up.engines()

    kill(zygote)

    until(lambda: not engines & table().keys(), 2.0)
    until(lambda: up.zygote() not in {None, zygote}, 10)
    until(lambda: len(up.engines()) == 2, 60)


def test_a_second_up_and_a_taken_port_are_refused(up: Installation, data: Path) -> None:
    second = Installation(data)
    second.process.wait(30)
    assert second.process.returncode == 1
    assert f"manage.py up (pid {up.pid})" in second.words()

    elsewhere = Installation(data.parent / "other", "--port", str(up.port))
    elsewhere.process.wait(30)
    assert elsewhere.process.returncode == 1
    assert f"Port {up.port} cannot be used" in elsewhere.words()


def test_ctrl_c_ends_everything_within_ten_seconds(up: Installation, data: Path) -> None:
    family = descendants(up.pid)

    up.process.send_signal(signal.SIGINT)
    up.process.send_signal(signal.SIGINT)  # the impatient press it twice
    up.process.wait(30)

    assert up.process.returncode == 0
    assert not family.keys() & table().keys()
    assert not valkey.is_ready(socket_folder(data) / "redis.sock")
