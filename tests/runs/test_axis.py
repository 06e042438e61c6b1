"""The axis of a timeline: what it cuts out, and where moments stand on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.runs.axis import CUT, Axis

START = datetime(2030, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def axis(end: float, *busy: tuple[float, float], waits: tuple[tuple[float, float], ...] = (), true_scale: bool = False) -> Axis:
    spans = [[(at(since), at(until)) for since, until in each] for each in (busy, waits)]
    return Axis(START, at(end), *spans, true_scale=true_scale)


def test_a_moment_stands_where_its_share_of_the_time_is() -> None:
    one = axis(10, (0, 10))

    assert [one.at(at(each)) for each in (-1, 0, 5, 10, 11)] == [0, 0, 50, 100, 100]
    assert one.gaps == ()


def test_a_pause_longer_than_a_minute_and_a_tenth_of_the_whole_is_cut_out() -> None:
    one = axis(7200, (0, 20), (7180, 7200))

    (gap,) = one.gaps
    assert gap.seconds == 7160
    assert gap.width == CUT
    assert one.at(at(20)) == pytest.approx((100 - CUT) / 2)
    assert one.at(at(7180)) == pytest.approx((100 + CUT) / 2)


@pytest.mark.parametrize("busy", [((0, 20), (75, 100)), ((0, 1000), (1070, 2000))])  # under a minute; under a tenth
def test_a_short_pause_stays(busy: tuple[tuple[float, float], ...]) -> None:
    assert axis(busy[-1][1], *busy).gaps == ()


def test_at_true_scale_nothing_is_cut_out() -> None:
    one = axis(7200, (0, 20), (7180, 7200), true_scale=True)

    assert one.gaps == ()
    assert one.at(at(3600)) == 50


def test_a_pause_says_whether_something_waited_in_it() -> None:
    waited, idle = (axis(7200, (0, 20), (7180, 7200), waits=waits).gaps[0] for waits in (((20, 7180),), ((7178, 7180),)))

    assert (waited.waiting, idle.waiting) == (True, False)


def test_an_axis_on_which_nothing_was_done_is_one_pause() -> None:
    one = axis(600)

    assert len(one.gaps) == 1
    assert one.at(at(600)) == pytest.approx(CUT)


def test_marks_stand_at_the_beginning_of_each_part_that_is_shown() -> None:
    one = axis(7200, (0, 20), (7180, 7200))

    assert [tick.seconds for tick in one.ticks] == [0, 10, 7180, 7190]


def test_nothing_long_has_an_axis_too() -> None:
    assert Axis(START, START, [], []).at(START) == 0
