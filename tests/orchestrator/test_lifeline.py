"""The stand-in for the kernel's death signal, which runs on every system."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import programs
from orchestrator.addresses import open_to_others, socket_folder
from orchestrator.embedded import postgres
from orchestrator.embedded.servers import running_servers
from tests.orchestrator.processes import ROOT, child, descendants, table, until

PARENT = """
import os, subprocess, sys
subprocess.run([sys.executable, "-I", "orchestrator/lifeline.py", str(os.getpid()), "15", sys.executable, "-c", sys.argv[1]])
"""
COMMAND = "import signal, sys; signal.signal(15, lambda *_: (open(sys.argv[-1], 'w').close(), sys.exit(0))); signal.pause()"


def test_the_command_gets_its_death_signal_when_the_parent_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = COMMAND.replace("sys.argv[-1]", repr(str(told))) + "  # the command"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, command], cwd=ROOT)
    until(lambda: len(descendants(parent.pid)) == 2)
    family = descendants(parent.pid)
    lifeline = child(parent.pid, "lifeline.py")
    assert lifeline
    until(lambda: handles_sigterm(next(pid for pid in family if pid != lifeline)))

    parent.kill()
    parent.wait()

    until(lambda: not family.keys() & table().keys(), 2.0)
    assert told.exists()


def test_it_hands_signals_on_and_ends_as_its_command_did() -> None:
    command = [sys.executable, "-I", "orchestrator/lifeline.py", str(os.getpid()), "9", "sleep", "60"]
    lifeline = subprocess.Popen(command, cwd=ROOT)
    until(lambda: descendants(lifeline.pid))

    lifeline.send_signal(signal.SIGTERM)

    assert lifeline.wait(5) == -signal.SIGTERM


def handles_sigterm(pid: int) -> bool:
    """Whether the process has come as far as its handler (Linux tells; elsewhere a moment is all we know)."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return True
    caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(
    os.geteuid() == 0 and not open_to_others(Path(sys.executable)), reason="the servers' account cannot run this Python"
)
def test_real_servers_run_behind_it(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "LINUX", False)

    with running_servers(short_folder):
        assert postgres.is_ready(socket_folder(short_folder))
        assert sum("lifeline.py" in command for command in descendants(os.getpid()).values()) >= 2

    assert "database system is shut down" in (short_folder / "logs/postgres.log").read_text()
