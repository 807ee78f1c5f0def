"""A breaker opens after failures in a row and tries one call per rest."""

from __future__ import annotations

from controllers.kernel.breaker import Breaker


def _opened() -> Breaker:
    breaker = Breaker(n_failures=2, rest_s=10.0)
    for _ in range(2):
        assert breaker.admits(100.0)
        breaker.failed(100.0)
    return breaker


def test_failures_that_are_not_in_a_row_do_not_open_it() -> None:
    breaker = Breaker(n_failures=2)
    for _ in range(5):
        breaker.failed(0.0)
        breaker.succeeded()
    assert not breaker.is_open
    assert breaker.admits(0.0)


def test_open_breaker_refuses_until_its_rest_is_over() -> None:
    breaker = _opened()
    assert breaker.is_open
    assert not breaker.admits(109.9)
    assert breaker.admits(110.0)


def test_who_would_rather_wait_is_told_how_long() -> None:
    breaker = _opened()
    assert breaker.rest_left_s(104.0) == 6.0
    assert breaker.rest_left_s(111.0) == 0.0
    breaker.failed(112.0)
    assert breaker.rest_left_s(112.0) == 10.0
    breaker.succeeded()
    assert breaker.rest_left_s(112.0) == 0.0


def test_only_one_tries_when_the_rest_is_over() -> None:
    breaker = _opened()
    assert breaker.admits(110.0)
    assert not breaker.admits(110.0)
    # A trial that was never reported, since its caller went away, does not close it for ever.
    assert breaker.admits(120.0)


def test_trial_decides() -> None:
    breaker = _opened()
    assert breaker.admits(110.0)
    breaker.failed(110.0)
    assert not breaker.admits(119.0)
    assert breaker.admits(120.0)
    breaker.succeeded()
    assert not breaker.is_open
    assert breaker.admits(120.0)
    assert breaker.admits(120.0)
