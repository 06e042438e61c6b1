"""What `README.md` says one can set and call is what there is."""

import re

from django.core.management import get_commands

from tests.docs.paths import ROOT, missing_paths

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
READER = re.compile(r'env_\w+\(\s*"([A-Z_]+)"')


def test_the_table_of_settings_is_complete() -> None:
    sources = ["orchestrator/settings.py", "orchestrator/embedded/places.py"]
    read = {name for source in sources for name in READER.findall((ROOT / source).read_text(encoding="utf-8"))}

    table = TEXT[TEXT.index("## Settings") :]

    assert set(re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)) == read


def test_the_table_of_commands_names_all_of_ours() -> None:
    table = TEXT[TEXT.index("## Commands") : TEXT.index("## Platforms")]
    ours = {name for name, app in get_commands().items() if app in {"orchestrator", "approvals", "flows"}}
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    named = {command.split()[0] for row in rows for command in re.findall(r"`([^`]+)`", row)}

    assert named - {"manage.py"} == ours


def test_it_opens_with_a_picture_and_the_two_commands() -> None:
    opening = TEXT[: TEXT.index("## Where things live")]

    assert "docs/architecture.svg" in opening
    assert "make run" in opening
    assert "make test" in opening


def test_the_paths_that_it_names_exist() -> None:
    assert missing_paths(TEXT) == []


def test_the_other_pages_link_to_what_exists() -> None:
    for name in ("CHANGELOG.md", "docs/glossary.md"):
        assert missing_paths((ROOT / name).read_text(encoding="utf-8"), (ROOT / name).parent) == []
