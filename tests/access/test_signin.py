"""Sign-in attempts are counted."""

import pytest
from django.conf import settings

from flows.access import signin
from flows.access.refusals import TooManyAttempts


@pytest.fixture(params=["redis", "without redis"])
def counting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, embedded_servers: None) -> None:
    monkeypatch.setattr(signin, "_client", None)
    signin._here.clear()
    if request.param == "without redis":
        monkeypatch.setattr(settings, "REDIS_ADDRESS", "unix:///nowhere/redis.sock")
    else:
        signin.client().flushdb()


@pytest.mark.usefixtures("counting")
def test_it_refuses_after_too_many_and_says_how_long() -> None:
    for _ in range(signin.PER_PERSON_AND_ADDRESS):
        signin.count_attempt("ann", "10.0.0.1")

    with pytest.raises(TooManyAttempts) as refusal:
        signin.count_attempt("ann", "10.0.0.1")

    assert 0 < refusal.value.seconds <= signin.WINDOW
    signin.count_attempt("ann", "10.0.0.2")
    signin.count_attempt("bob", "10.0.0.1")


@pytest.mark.usefixtures("counting")
def test_a_good_sign_in_begins_anew() -> None:
    for _ in range(signin.PER_PERSON_AND_ADDRESS):
        signin.count_attempt("ann", "10.0.0.1")
    signin.forget_attempts("ann", "10.0.0.1")

    signin.count_attempt("ann", "10.0.0.1")
