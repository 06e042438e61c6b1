"""The vectors of the design's number formats, one by one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from orchestrator import clock
from orchestrator.templatetags import numbers

NOW = datetime(2025, 7, 15, 7, 14, tzinfo=UTC)


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.0000421", "$0.000042"), ("0.00000042", "<$0.000001"), ("0", "$0"), ("0.0000415", "$0.000042"), (None, "—")],
)
def test_a_call_has_six_places(amount: str | None, text: str) -> None:
    assert numbers.money_call(amount and Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.04317", "$0.0432"),
        ("0.0000421", "<$0.0001"),
        ("12.3456", "$12.3456"),
        ("1234.5", "$1,234.5000"),
        ("-0.0339", "−$0.0339"),
        ("0", "$0"),
        (None, "—"),
    ],
)
def test_a_run_has_four_places(amount: str | None, text: str) -> None:
    assert numbers.money_run(amount and Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1234.567", "$1,234.57"), ("0.43", "$0.4300"), ("1", "$1.00"), ("0.99996", "$1.0000"), ("-61.204", "−$61.20"), (None, "—")],
)
def test_a_total_has_two_places_from_a_dollar_on(amount: str | None, text: str) -> None:
    assert numbers.money_total(amount and Decimal(amount)) == text


@pytest.mark.parametrize(
    ("text", "marks", "shown"),
    [
        ("$0.0432", {"estimated": True}, "~$0.0432"),
        ("$1.2040", {"unpriced": True}, "≥ $1.2040"),
        ("$0.0432", {"simulated": True}, "$0.0432 sim"),
        ("$1.2040", {"unpriced": True, "estimated": True}, "≥ $1.2040"),
        ("$0.0432", {"estimated": True, "simulated": True}, "~$0.0432 sim"),
        ("—", {"unpriced": True}, "—"),
    ],
)
def test_an_amount_says_where_it_comes_from(text: str, marks: dict[str, bool], shown: str) -> None:
    assert numbers.marked(text, **marks) == shown


def test_tokens_are_whole_in_tables_and_short_on_cards() -> None:
    assert numbers.tokens(9812) == "9,812"
    assert numbers.tokens(None) == "—"
    assert numbers.tokens_short(12420) == "12.4k"
    assert numbers.tokens_short(1284000) == "1.28M"
    assert numbers.tokens_short(9812) == "9.81k"
    assert numbers.tokens_short(412) == "412"
    assert numbers.marked(numbers.tokens(9812), estimated=True) == "~9,812"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.84, "840 ms"),
        (12.44, "12.4 s"),
        (247, "4m 07s"),
        (8054, "2h 14m"),
        (273600, "3d 4h"),
        (0, "0 ms"),
        (0.9996, "1.0 s"),
        (59.97, "1m 00s"),
        (3599.7, "1h 00m"),
        (timedelta(seconds=247), "4m 07s"),
        (None, "—"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: object, text: str) -> None:
    assert numbers.duration(seconds) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW - timedelta(seconds=59), "just now"),
        (NOW - timedelta(minutes=3, seconds=20), "3 min ago"),
        (NOW - timedelta(hours=2, minutes=50), "2 h ago"),
        (datetime(2025, 7, 14, 18, 4, tzinfo=UTC), "Yesterday 18:04"),
        (datetime(2025, 7, 13, 9, 12, tzinfo=UTC), "13 Jul 09:12"),
        (datetime(2024, 7, 14, 9, 12, tzinfo=UTC), "14 Jul 2024 09:12"),
        (NOW + timedelta(minutes=12, seconds=30), "in 12 min"),
        (NOW + timedelta(hours=2, minutes=1), "in 2 h"),
        (datetime(2025, 7, 16, 9, 0, tzinfo=UTC), "Tomorrow 09:00"),
        (None, "—"),
    ],
)
def test_a_moment_is_said_as_people_say_it(moment: datetime | None, text: str) -> None:
    assert numbers.when(moment) == text


def test_a_day_begins_where_the_reader_is() -> None:
    late = datetime(2025, 7, 14, 22, 30, tzinfo=UTC)
    with timezone.override("Europe/Berlin"):
        assert numbers.when(late) == "8 h ago"
    assert numbers.when(late) == "Yesterday 22:30"


def test_a_deadline_is_counted_to_the_second() -> None:
    assert numbers.until(NOW + timedelta(minutes=47, seconds=12)) == "00:47:12"
    assert numbers.until(NOW + timedelta(hours=2, minutes=1)) == "in 2 h"
    assert numbers.until(NOW - timedelta(seconds=1)) == "overdue"


@pytest.mark.parametrize(
    ("share", "text"),
    [("0.0423", "4.2 %"), ("0.667", "67 %"), ("0.0004", "<0.1 %"), ("0", "0 %"), ("1", "100 %"), ("0.0997", "10 %"), (None, "—")],
)
def test_a_share_has_one_place_below_ten(share: str | None, text: str) -> None:
    assert numbers.percent(share and Decimal(share)) == text


def test_a_line_may_always_have_its_places() -> None:
    assert numbers.percent(Decimal("0.9812"), 1) == "98.1 %"
    assert numbers.percent(Decimal("0.00086"), 2) == "0.09 %"
