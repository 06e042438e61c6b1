"""What the embedded PostgreSQL does with what it finds: leftovers of a crash, another version, someone else's folder."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.addresses import socket_folder
from orchestrator.embedded import postgres
from orchestrator.embedded.places import PlaceRefused, Places, places
from orchestrator.embedded.postgres import OtherVersion, clear_crash, postgres_program
from orchestrator.embedded.servers import running_servers


@pytest.fixture
def used(short_folder: Path) -> Places:
    """A data folder in which a server has run."""
    with running_servers(short_folder):
        pass
    return places(short_folder)


def leave_pid_file(used: Places, pid: int) -> Path:
    file = used.home / "postgres/postmaster.pid"
    now = int(time.time())
    file.write_text(f"{pid}\n{used.home / 'postgres'}\n{now}\n5432\n{used.sockets}\n\n  1234 5678\nready\n")
    if used.account:
        os.chown(file, used.account.uid, used.account.gid)
        file.chmod(0o600)
    (used.sockets / ".s.PGSQL.5432.lock").write_text(f"{pid}\n{used.home / 'postgres'}\n{now}\n5432\n{used.sockets}\n")
    return file


@pytest.mark.parametrize("stranger", ["living", "dead"])
def test_a_stale_pid_file_does_not_keep_it_from_starting(used: Places, stranger: str) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        if stranger == "dead":
            other.kill()
            other.wait()
        leave_pid_file(used, other.pid)

        with running_servers(used.data):
            assert postgres.is_ready(socket_folder(used.data))

        assert (other.poll() is None) == (stranger == "living")
    finally:
        other.kill()
        other.wait()


def test_it_waits_for_a_server_of_the_same_folder_that_still_ends(used: Places) -> None:
    program = postgres_program(used)
    with running_servers(used.data):
        pid = int((used.home / "postgres/postmaster.pid").read_text().splitlines()[0])

        with pytest.raises(TimeoutError, match="never"):
            clear_crash_with_alarm(used)

        os.kill(pid, 0)  # it was not touched
    assert program.name == "postgres"


def clear_crash_with_alarm(used: Places) -> None:
    import signal

    def stop(*_: object) -> None:
        raise TimeoutError("never")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        clear_crash(used.home / "postgres", used.sockets)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_interrupted_first_start_leaves_nothing_half_made(short_folder: Path) -> None:
    at = places(short_folder)
    (at.home / "postgres.new").mkdir()
    (at.home / "postgres.new/PG_VERSION").write_text("18\n")

    with running_servers(short_folder):
        assert postgres.is_ready(at.sockets)

    assert not (at.home / "postgres.new").exists()


def test_another_versions_data_is_refused_with_the_way_out(used: Places) -> None:
    (used.home / "postgres/PG_VERSION").write_text("14\n")

    with pytest.raises(OtherVersion, match=r"written by PostgreSQL 14.*pg_upgrade"):
        postgres_program(used)


def test_a_folder_without_data_is_refused(short_folder: Path) -> None:
    at = places(short_folder)
    (at.home / "postgres").mkdir()

    with pytest.raises(PlaceRefused, match="PG_VERSION is missing"):
        postgres_program(at)


def test_a_wrong_callers_environment_does_not_reach_it(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_YY.nonsense")

    with running_servers(short_folder):
        assert postgres.is_ready(socket_folder(short_folder))
