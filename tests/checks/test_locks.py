"""Locks name no place, and nothing runs at every start of Python."""

from pathlib import Path

import pytest

from checks.locks import LOCKS, ROOT, lock_problems, pth_problems

GOOD = f"celery==5.7.0 ; sys_platform != 'win32' \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n"


@pytest.mark.parametrize("name", LOCKS)
def test_our_locks_are_clean(name: str) -> None:
    assert lock_problems(name, (ROOT / name).read_text()) == []


def test_a_good_lock_has_no_problem() -> None:
    assert lock_problems("a.lock", GOOD) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url somewhere",
        "--extra-index-url=somewhere",
        "celery @ https" + "://host/celery.whl",
        "celery==5.7.0",
        "celery>=5 \\",
        "-e .",
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    problems = lock_problems("a.lock", f"{GOOD}{line}\n")

    assert len(problems) == 1
    assert problems[0].startswith("a.lock:4: ")


def test_an_unexpected_pth_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "distutils-precedence.pth").touch()
    (tmp_path / "surprise.pth").touch()

    (problem,) = pth_problems(tmp_path)

    assert problem.startswith("surprise.pth")
