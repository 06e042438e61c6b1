"""What `CONTRIBUTING.md` tells newcomers to touch is there, and every kind has its test."""

import re

import pytest

from orchestrator import catalogue
from tests.docs.paths import ROOT, missing_paths

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_paths_that_it_names_exist() -> None:
    assert missing_paths(TEXT) == []


def test_it_names_what_it_should_find_in_them() -> None:
    named = re.findall(r"`([A-Z_]{5,}|AnyRule)`(?: and `(AnyRule)`)? in `([\w/.]+)`", TEXT)

    lost = [(name, path) for name, _, path in named if name not in (ROOT / path).read_text(encoding="utf-8")]

    assert len(named) >= 4
    assert lost == []


@pytest.mark.parametrize("path", [*catalogue.STEP_KINDS, *catalogue.TOOL_KINDS])
def test_every_kind_has_its_test(path: str) -> None:
    _, room, module, _ = path.split(".")

    assert (ROOT / f"tests/{room}/test_{module}.py").is_file()
