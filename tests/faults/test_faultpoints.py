"""A faultpoint does nothing until it is armed, and then ends the process once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.orchestrator.processes import ROOT

PROGRAM = """
from flows.execution.faultpoints import faultpoint
for number in range(5):
    faultpoint("here"); faultpoint("elsewhere"); print(number, flush=True)
"""


def passed(environment: dict[str, str]) -> tuple[int, str]:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    return answer.returncode, answer.stdout


def test_it_does_nothing_where_nobody_armed_it(tmp_path: Path) -> None:
    everything = (0, "0\n1\n2\n3\n4\n")
    bare = {name: value for name, value in os.environ.items() if name != "ORCHESTRATOR_FAULTPOINTS"}

    assert passed(bare) == everything
    assert passed(bare | {"ORCHESTRATOR_FAULTPOINTS": str(tmp_path / "missing")}) == everything


def test_it_kills_once_at_the_named_place_and_time(tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    armed.write_text("here 3 token")
    environment = os.environ | {"ORCHESTRATOR_FAULTPOINTS": str(armed)}

    assert passed(environment) == (-signal.SIGKILL, "0\n1\n")
    assert not armed.exists()
    assert passed(environment)[0] == 0
