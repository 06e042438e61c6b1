"""What the processes hold when nothing happens: the web process alone, and one engine."""

import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from tests.bench import Row, measure
from tests.bench.installation import bare_environment, free_port, started
from tests.orchestrator.processes import descendants, until

ROOT = Path(__file__).resolve().parents[2]
WEB, ENGINE = 160.0, 320.0  # MB of resident memory
SETTLED = 5.0  # seconds after which an idle process has done what it does at its start


@measure("memory_web")
def memory_web() -> Row:
    web, _ = idle()
    return Row(web, "MB", f"<= {WEB:.0f} MB", web <= WEB)


@measure("memory_engine")
def memory_engine() -> Row:
    """The largest engine's resident memory, which counts the pages that it shares with the others in full."""
    _, engine = idle()
    return Row(engine, "MB", f"<= {ENGINE:.0f} MB", engine <= ENGINE)


@cache
def idle() -> tuple[float, float]:
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-bench-"))
    folder.chmod(0o711)
    port = free_port()
    command = [sys.executable, str(ROOT / "manage.py"), "up", "--port", str(port), "--no-runs", "--engines", "1"]
    try:
        with started(command, port, folder, bare_environment(ORCHESTRATOR_DATA=str(folder / "data"))) as (pid, _):
            until(lambda: len(processes(pid, "orchestrator.zygote")) == 2, 60, "the engine runs")
            time.sleep(SETTLED)
            (web,) = processes(pid, "uvicorn")
            return resident(web), max(resident(engine) for engine in processes(pid, "orchestrator.zygote"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def processes(pid: int, word: str) -> list[int]:
    return [number for number, command in descendants(pid).items() if word in command]


def resident(pid: int) -> float:
    """Megabytes, from the kernel (Linux) or from ps."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1000
    answer = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(answer.stdout) / 1000
