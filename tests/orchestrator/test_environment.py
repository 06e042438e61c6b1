"""Readers of the environment: they take what makes sense and refuse the rest by name."""

from pathlib import Path

import pytest

from orchestrator.environment import BadSetting, env_bool, env_float, env_int, env_list, env_str


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("no", False), ("", True)])
def test_it_reads_yes_and_no(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv("FLAG", text)

    assert env_bool("FLAG", True) is value


@pytest.mark.parametrize(
    ("reader", "default", "text", "reason"),
    [
        (env_bool, False, "maybe", "neither yes nor no"),
        (env_int, 3, "three", "not a whole number"),
        (env_int, 3, "-1", "less than 0"),
        (env_float, 3.0, "fast", "not a number"),
        (env_float, 3.0, "-0.5", "less than 0"),
    ],
)
def test_it_refuses_nonsense_by_name(monkeypatch, reader, default, text, reason) -> None:
    monkeypatch.setenv("SOME_SETTING", text)

    with pytest.raises(BadSetting, match=f"^SOME_SETTING: .*{reason}"):
        reader("SOME_SETTING", default)


@pytest.mark.parametrize("text", ["nan", "inf"])
def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOME_SETTING", text)

    with pytest.raises(BadSetting):
        env_float("SOME_SETTING", 1.0)


def test_a_file_may_hold_the_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    monkeypatch.setenv("KEY", "not this")
    monkeypatch.setenv("KEY_FILE", str(tmp_path / "secret"))

    assert env_str("KEY") == "hunter2"


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_FILE", "/no/such/file")

    with pytest.raises(BadSetting, match="KEY_FILE: cannot read /no/such/file"):
        env_str("KEY")


def test_lists_are_parted_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTS", " one, two ,,three")

    assert env_list("HOSTS", []) == ["one", "two", "three"]
    assert env_list("NO_HOSTS", ["usual"]) == ["usual"]
