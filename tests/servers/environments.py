"""Python environments for what others wrote and what is to run apart from the product."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PATIENCE = 300  # seconds


def python_with(lock: Path, folder: Path) -> Path:
    """The Python of a new environment in this folder with exactly what the lock names."""
    uv, python = Path(sys.executable).parent / "uv", folder / "environment" / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, folder / "environment"],
        [uv, "pip", "install", "--quiet", "--python", python, "--only-binary", ":all:", "--require-hashes", "-r", lock],
    ):
        subprocess.run([str(each) for each in command], check=True, timeout=PATIENCE, cwd=folder)
    return python
