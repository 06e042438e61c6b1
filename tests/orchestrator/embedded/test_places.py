"""Where servers' files may lie, and as whom they run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.addresses import open_to_others
from orchestrator.embedded.places import PlaceRefused, places, private_folder
from orchestrator.embedded.servers import running_servers
from tests.orchestrator.processes import ROOT

AS_ROOT = os.geteuid() == 0


def test_the_sockets_folder_is_private(short_folder: Path) -> None:
    at = places(short_folder)

    assert at.sockets.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_place_of_the_folder_is_refused(short_folder: Path) -> None:
    (short_folder / "elsewhere").mkdir()
    (short_folder / "sockets").symlink_to(short_folder / "elsewhere")

    with pytest.raises(PlaceRefused, match="remove it"):
        places(short_folder)


@pytest.mark.skipif(not AS_ROOT, reason="needs root to own a folder as someone else")
def test_a_strangers_folder_is_refused(short_folder: Path) -> None:
    (short_folder / "private").mkdir()
    os.chown(short_folder / "private", 12345, 12345)

    with pytest.raises(PlaceRefused, match="remove it"):
        private_folder(short_folder / "private", None)


@pytest.mark.skipif(not AS_ROOT, reason="only root's servers run as another account")
def test_roots_servers_run_as_an_unprivileged_account(short_folder: Path) -> None:
    at = places(short_folder)
    with running_servers(short_folder):
        pid = int((at.home / "postgres/postmaster.pid").read_text().splitlines()[0])
        assert at.account
        assert at.account.uid != 0
        assert Path(f"/proc/{pid}").stat().st_uid == at.account.uid


@pytest.mark.skipif(not AS_ROOT, reason="only root's servers run as another account")
def test_a_data_folder_that_the_account_cannot_reach_works_and_keeps_its_mode(short_folder: Path) -> None:
    closed = short_folder / "closed"
    closed.mkdir(mode=0o700)

    with running_servers(closed / "data"):
        at = places(closed / "data")

    assert closed.stat().st_mode & 0o777 == 0o700
    assert at.home != closed / "data"
    subprocess.run(["rm", "-rf", str(at.home), str(at.sockets)], check=True)


@pytest.mark.skipif(not AS_ROOT, reason="needs root to become someone else")
@pytest.mark.skipif(not open_to_others(Path(sys.executable)), reason="this Python cannot be run by others")
def test_an_ordinary_users_servers_run_as_that_user(short_folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from orchestrator.embedded.servers import running_servers\n"
        "data = Path(sys.argv[1])\n"
        "with running_servers(data): print(int((data / 'postgres/postmaster.pid').read_text().split()[0]) > 0)"
    )
    data = short_folder / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)

    command = [sys.executable, "-c", script, str(data)]
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    command = [sys.executable, "-c", script, str(data)]
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **nobody)

    assert done.stdout == "True\n", done.stderr
    assert (data / "postgres").stat().st_uid == 65534


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(short_folder: Path) -> None:
    (short_folder / "data").mkdir(mode=0o500)

    with pytest.raises(PlaceRefused, match="cannot be written"):
        places(short_folder / "data")
