"""When a model is left alone, and when it is tried again."""

from __future__ import annotations

from flows.routing.breaker import WELL, Breaker, Standing, after_failure, from_history, loaded, with_probe

BREAKER = Breaker(failures=3, within=60, rest=30)


def failed(times: int, *, at: int = 0, every: int = 1000, standing: Standing = WELL) -> Standing:
    for n in range(times):
        standing = after_failure(standing, BREAKER, "unavailable", at + n * every)
    return standing


def test_it_rests_after_so_many_failures_in_a_row() -> None:
    assert not failed(2).until

    standing = failed(3)

    assert standing.rests(31_999)
    assert standing.half_open(32_000)


def test_failures_that_are_far_apart_are_not_in_a_row() -> None:
    assert failed(9, every=60_001).failures == 1


def test_a_failure_that_comes_home_late_does_not_lengthen_the_rest() -> None:
    assert failed(30).until == failed(3).until


def test_one_probe_at_a_time_may_try() -> None:
    standing = failed(3)
    now = standing.until
    probing = with_probe(standing, BREAKER, now)

    assert probing is not None
    assert with_probe(probing, BREAKER, now + 29_999) is None
    assert with_probe(probing, BREAKER, now + 30_000) is not None, "a probe whose worker died does not count for ever"


def test_a_probe_that_fails_doubles_the_rest_up_to_eight_times() -> None:
    standing, rests = failed(3), []
    for _ in range(5):
        now = standing.until
        standing = after_failure(standing, BREAKER, "timeout", now)
        rests.append((standing.until - now) // 1000)

    assert rests == [60, 120, 240, 240, 240]
    assert standing.why == "timeout"


def test_history_tells_the_same_and_only_what_speaks_against_health_counts() -> None:
    calls = [("unavailable", n * 1000) for n in range(3)]

    assert from_history(calls, BREAKER) == failed(3)
    assert from_history([*calls, ("", 4000)], BREAKER) == WELL
    assert from_history([("unavailable", 0), ("bad_request", 1), ("bad_key", 2), ("unavailable", 3)], BREAKER).failures == 2


def test_a_standing_is_written_and_read() -> None:
    assert loaded(failed(3).dumped()) == failed(3)
