"""Refuses what should not come with the dependencies: an address in a lock file, or code that runs at every start of Python.

A lock holds names, versions and hashes; where packages come from is the affair of whoever installs them. A ``.pth`` file in
site-packages may hold a line that each Python process executes, which no dependency of ours needs.
"""

import re
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (
    "requirements-uv.lock",
    "requirements-node.lock",
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-proxy.lock",
    "requirements-clients.lock",
)
EXPECTED_PTH = {"distutils-precedence.pth"}  # setuptools', which venv itself installs up to Python 3.11
FORBIDDEN = ("://", "--index", "--extra-index", "--find-links", "--trusted-host")
LINE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>\S+)( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")


def lock_problems(name: str, text: str) -> list[str]:
    """What is wrong with one lock file, each with its line."""
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        if found := next((word for word in FORBIDDEN if word in line), None):
            problems.append(f"{name}:{number}: holds {found!r}; a lock names no place.")
        elif not LINE.fullmatch(line):
            problems.append(f"{name}:{number}: is neither `name==version` with hashes nor a hash: {line.strip()!r}.")
    return problems


def pth_problems(folder: Path) -> list[str]:
    """The ``.pth`` files of `folder` that nobody expects."""
    found = sorted(path.name for path in folder.glob("*.pth"))
    return [f"{name}: unexpected in {folder.name}; its lines run at every start." for name in found if name not in EXPECTED_PTH]


def main() -> int:
    problems = [problem for name in LOCKS for problem in lock_problems(name, (ROOT / name).read_text(encoding="utf-8"))]
    problems += pth_problems(Path(sysconfig.get_paths()["purelib"]))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
