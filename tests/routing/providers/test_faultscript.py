"""What a simulated model does wrong, call by call."""

from __future__ import annotations

import pytest

from flows.routing.providers.faultscript import ScriptError, parse_script


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("fail 429 twice, then answer", ["429", "429", "", "", ""]),
        ("fail rate_limit once; fail 503 2 times; answer", ["rate_limit", "503", "503", "", ""]),
        ("hang", ["hang"] * 5),
        ("garbage once", ["garbage", "", "", "", ""]),
        ("answer twice, then cut", ["", "", "cut", "cut", "cut"]),
        ("outage from call 2 to 4", ["", "unavailable", "unavailable", "unavailable", ""]),
        ("fail 429 3 times, then answer; hang from call 2 to 2", ["429", "hang", "429", "", ""]),
    ],
)
def test_it_says_what_goes_wrong_with_each_call(text: str, faults: list[str]) -> None:
    assert [parse_script(text).fault_at(call) for call in range(1, 6)] == faults


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The script is empty"),
        ("explode", "`explode` is no clause"),
        ("fail", "`fail` is no clause"),
        ("fail 200", "`200` is no error"),
        ("fail tired twice", "`tired` is no error"),
        ("outage from call 9 to 5", "holds for no call"),
        ("hang, then answer", "A clause that lasts has others behind it"),
    ],
)
def test_it_says_what_is_no_script(text: str, said: str) -> None:
    with pytest.raises(ScriptError, match=said):
        parse_script(text)
