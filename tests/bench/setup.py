"""How long a newcomer waits: from a bare clone to the first page, and from the second start to the first page."""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.bench import Row, measure
from tests.bench.installation import bare_environment, free_port, started

ROOT = Path(__file__).resolve().parents[2]
COLD, WARM = 90.0, 6.0  # seconds


@measure("setup_cold")
def setup_cold() -> Row:
    """A clone of HEAD, ``make run``, the first page; the package cache is as warm as this machine's."""
    seconds, _ = both()
    return Row(seconds, "s", f"<= {COLD:.0f} s", seconds <= COLD)


@measure("setup_warm")
def setup_warm() -> Row:
    _, seconds = both()
    return Row(seconds, "s", f"<= {WARM:.0f} s", seconds <= WARM)


@cache
def both() -> tuple[float, float]:
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
    folder.chmod(0o711)
    clone = folder / "clone"
    try:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        port = free_port()
        command = ["make", "run", f"ARGS=--port {port}"]
        with started(command, port, clone, bare_environment()) as (_, cold):
            pass
        with started(command, port, clone, bare_environment()) as (_, warm):
            pass
        return cold, warm
    finally:
        shutil.rmtree(folder, ignore_errors=True)
