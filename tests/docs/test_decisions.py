"""Decisions are numbered sentences, and every direct dependency has its reason."""

import re
import tomllib

from tests.docs.paths import ROOT, missing_paths

DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))


def test_each_has_a_number_of_its_own_and_a_title() -> None:
    numbers = [path.name[:4] for path in DECISIONS]

    assert all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name) for path in DECISIONS)
    assert len(set(numbers)) == len(numbers)
    assert all(path.read_text(encoding="utf-8").startswith("# ") for path in DECISIONS)


def test_the_paths_that_they_name_exist() -> None:
    assert {path.name: missing_paths(path.read_text(encoding="utf-8"), path.parent) for path in DECISIONS} == {
        path.name: [] for path in DECISIONS
    }


def test_every_direct_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {re.split(r"[\[<>=~!;]", line)[0].strip() for line in project["project"]["dependencies"]}
    wanted |= {re.split(r"[\[<>=~!;]", line)[0].strip() for line in project["dependency-groups"]["dev"]}
    text = (ROOT / "docs/decisions/0002-dependencies-and-why.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)) == wanted
