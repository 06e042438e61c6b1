"""Where the servers are, spelled for each of their clients."""

import os
from pathlib import Path

import pytest

from orchestrator.addresses import LONGEST_SOCKET_FOLDER, database_settings, redis_addresses, secret_key, socket_folder
from orchestrator.environment import BadSetting


def test_the_embedded_database_is_reached_by_its_socket(short_folder: Path) -> None:
    found = database_settings("", short_folder)

    assert (found["HOST"], found["PORT"], found["NAME"]) == (str(short_folder / "sockets"), "5432", "orchestrator")


def test_a_database_address_is_taken_apart() -> None:
    found = database_settings("postgresql://me:p%40ss@db.example:6432/my%20base?sslmode=require", Path("/data"))

    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"]) == ("me", "p@ss", "db.example", "6432")
    assert (found["NAME"], found["OPTIONS"]) == ("my base", {"sslmode": "require"})


def test_a_database_address_may_name_a_socket_folder() -> None:
    found = database_settings("postgresql://me@/base?host=/run/postgresql", Path("/data"))

    assert (found["HOST"], found["PORT"], found["OPTIONS"]) == ("/run/postgresql", "", {})


def test_only_a_process_that_asks_for_it_keeps_connections() -> None:
    with_options = database_settings("postgresql://me@db/base?sslmode=require", Path("/data"), pool=7)

    assert with_options["OPTIONS"]["sslmode"] == "require"
    assert with_options["OPTIONS"]["pool"]["max_size"] == 7
    assert "pool" not in database_settings("postgresql://me@db/base", Path("/data"))["OPTIONS"]


def test_redis_is_spelled_twice(short_folder: Path) -> None:
    embedded = redis_addresses("", short_folder)
    given = redis_addresses("unix:///run/redis.sock?db=3", short_folder)

    assert (embedded.client, embedded.celery) == (
        f"unix://{short_folder}/sockets/redis.sock",
        f"redis+socket://{short_folder}/sockets/redis.sock",
    )
    assert given.celery == "redis+socket:///run/redis.sock?virtual_host=3"
    assert redis_addresses("rediss://cache.example:6380/1", short_folder).celery == "rediss://cache.example:6380/1"


@pytest.mark.parametrize("url", ["mysql://db/x", "sqlite:///x", "db.example"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(BadSetting, match="DATABASE_URL"):
        database_settings(url, Path("/data"))


@pytest.mark.parametrize("url", ["amqp://host", "memory://"])
def test_other_brokers_are_refused(url: str) -> None:
    with pytest.raises(BadSetting, match="REDIS_URL"):
        redis_addresses(url, Path("/data"))


@pytest.mark.parametrize("name", ["x" * 100, "a,b", "a b", "ü", "a%41", "a?b", "a#b"])
def test_sockets_of_a_long_or_odd_path_lie_elsewhere(short_folder: Path, name: str) -> None:
    folder = socket_folder(short_folder / name)

    assert len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER
    assert str(folder).isascii()
    assert folder != socket_folder(short_folder / f"{name}x")
    assert folder == socket_folder(short_folder / name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another account")
def test_roots_sockets_lie_where_the_servers_can_reach_them(short_folder: Path) -> None:
    (short_folder / "closed").mkdir(mode=0o700)

    assert socket_folder(short_folder / "closed/data").parent != short_folder / "closed/data"


def test_the_signing_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = secret_key(tmp_path / "new")

    assert len(key) >= 50
    assert secret_key(tmp_path / "new") == key
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret-key"]
    assert (tmp_path / "new/secret-key").stat().st_mode & 0o077 == 0
