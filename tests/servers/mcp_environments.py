"""MCP servers that others wrote, in environments of their own: the time server of PyPI, the one of npm that shows everything.

They are installed once, by the registries' own clients, into a folder that later sessions find again. Where that cannot be done, tests
that need them are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

TIME, EVERYTHING = "mcp-server-time==2026.10.19", "@modelcontextprotocol/server-everything@2026.8.31"
FOLDER = Path(tempfile.gettempdir()) / "orchestrator-mcp-servers"
PATIENCE = 240  # seconds


def time_server() -> list[str]:
    """The command of the time server."""
    home = FOLDER / "time"
    program = home / "bin" / "mcp-server-time"
    if not program.exists():
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(home / "bin" / "python"), "-m", "pip", "install", "-q", TIME])
    return [str(program)]


def everything_server(transport: str) -> list[str]:
    """The command of the server that shows everything, over `stdio` or `streamableHttp`."""
    home = FOLDER / "everything"
    program = home / "node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no Node on PATH")
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        _run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(home), EVERYTHING])
    return [node, str(program), transport]


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"{Path(command[0]).name} could not install a server: {error}")
