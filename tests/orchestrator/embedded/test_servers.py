"""Servers for the length of a command: started if none run, shared if some do, gone afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection

from orchestrator.addresses import redis_addresses, socket_folder
from orchestrator.embedded import postgres, valkey
from orchestrator.embedded.lock import Held, Lock
from orchestrator.embedded.places import places
from orchestrator.embedded.servers import running_servers
from orchestrator.programs import NotReady
from tests.orchestrator.processes import ROOT, descendants, table, until

BORROWER = """
import sys
from pathlib import Path
from orchestrator.embedded.servers import running_servers
with running_servers(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""


def borrower(data: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", BORROWER, str(data)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def until_in(command: "subprocess.Popen[str]") -> None:
    """Waits until a borrower has its servers."""
    assert command.stdout
    assert command.stdout.readline() == "in\n"


def ask(data: Path, question: str) -> object:
    with psycopg.connect(host=str(socket_folder(data)), user="orchestrator", dbname="orchestrator") as connection:
        row = connection.execute(question).fetchone()
        return row[0] if row else None


def serves(data: Path) -> bool:
    return postgres.is_ready(socket_folder(data)) and valkey.is_ready(socket_folder(data) / "redis.sock")


@pytest.mark.django_db
def test_the_session_has_a_real_postgresql_with_vectors() -> None:
    with connection.cursor() as cursor:
        cursor.execute("select current_database(), count(*) from pg_available_extensions where name = 'vector'")
        assert cursor.fetchone() == (settings.DATABASES["default"]["NAME"], 1)


def test_the_session_has_a_real_redis(embedded_servers: None) -> None:
    assert redis.Redis.from_url(settings.REDIS_ADDRESS).ping()


def test_it_is_durable_and_private(short_folder: Path) -> None:
    with running_servers(short_folder):
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert ask(short_folder, f"show {name}") == "on"
        assert ask(short_folder, "show listen_addresses") == ""
        assert ask(short_folder, "select datlocale from pg_database where datname = 'orchestrator'") == "C.UTF-8"
        assert ask(short_folder, "select rolsuper from pg_roles where rolname = current_user") is True
        sockets = socket_folder(short_folder)
        assert sockets.stat().st_mode & 0o077 == 0
        assert (sockets / "redis.sock").stat().st_mode & 0o077 == 0


def test_it_keeps_the_rows_and_leaves_no_process(short_folder: Path) -> None:
    before = descendants(os.getpid()).keys()
    with (
        running_servers(short_folder),
        psycopg.connect(host=str(socket_folder(short_folder)), user="orchestrator", dbname="orchestrator") as connection,
    ):
        connection.execute("create table kept as select 42 as answer")
    assert descendants(os.getpid()).keys() <= before

    with running_servers(short_folder):
        assert ask(short_folder, "select answer from kept") == 42


@pytest.mark.parametrize("name", ["with a space, and a comma", "größe", "x" * 90, 'quote\'s "$HOME"'])
def test_any_folder_will_do(short_folder: Path, name: str) -> None:
    data = short_folder / name

    with running_servers(data):
        assert ask(data, "select 1") == 1
        assert redis.Redis.from_url(redis_addresses("", data).client).ping()


def test_a_second_command_borrows_and_the_first_waits_for_it(short_folder: Path) -> None:
    first = borrower(short_folder)
    until_in(first)
    second = borrower(short_folder)
    until_in(second)
    assert not any("postgres" in command for command in descendants(second.pid).values())

    assert first.stdin
    first.stdin.close()  # the first has finished its work
    assert serves(short_folder)
    second.communicate("done\n", timeout=10)
    first.wait(30)

    assert (first.returncode, second.returncode) == (0, 0)
    assert not serves(short_folder)


def test_a_killed_command_leaves_nothing_and_the_next_one_starts(short_folder: Path) -> None:
    command = borrower(short_folder)
    until_in(command)
    family = descendants(command.pid)

    command.kill()
    command.wait()

    until(lambda: not family.keys() & table().keys(), 2.0)
    with running_servers(short_folder):
        assert serves(short_folder)


def test_the_lock_tells_who_holds_it(short_folder: Path) -> None:
    lock = Lock(short_folder, "manage.py up")
    lock.take()

    with pytest.raises(Held, match=rf"manage.py up \(pid {os.getpid()}\)"):
        Lock(short_folder, "another").take()

    lock.release()
    Lock(short_folder, "another").take()


def test_given_servers_are_left_alone(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user@db.example/orchestrator")
    monkeypatch.setenv("REDIS_URL", "redis://cache.example/0")

    with running_servers(short_folder / "data"):
        assert not (short_folder / "data").exists()


def test_only_the_missing_server_is_started(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user@db.example/orchestrator")

    with running_servers(short_folder):
        assert valkey.is_ready(socket_folder(short_folder) / "redis.sock")
        assert not (places(short_folder).home / "postgres").exists()


def test_a_failure_shows_the_servers_last_lines(short_folder: Path) -> None:
    with running_servers(short_folder):
        pass
    with (places(short_folder).home / "postgres/postgresql.conf").open("a") as file:
        file.write("no_such_setting = on\n")

    with pytest.raises(NotReady, match="no_such_setting"), running_servers(short_folder):
        pass
