"""The breaker: who may ask a Stripe that keeps failing, and how soon."""

from random import Random

import pytest

from writer.gateway.breaker import FAILURES, Breaker
from writer.gateway.errors import StripeUnavailableError


class Time:
    """Monotonic seconds, moved by hand."""

    at = 0.0

    def __call__(self) -> float:
        """The set time."""
        return self.at


def opened() -> tuple[Breaker, Time]:
    """A breaker that has just opened."""
    time = Time()
    breaker = Breaker(Random(1), time)
    for _ in range(FAILURES):
        assert not breaker.is_open
        breaker.admit()
        breaker.failed("no answer")
    return breaker, time


def refused(breaker: Breaker) -> float:
    """After how many seconds to come again."""
    with pytest.raises(StripeUnavailableError) as caught:
        breaker.admit()
    assert caught.value.retry_after is not None
    return caught.value.retry_after


def test_single_faults_do_not_open_it() -> None:
    """Only failures in a row count."""
    breaker = Breaker(Random(1), Time())
    for _ in range(20):
        breaker.failed("no answer")
        breaker.worked()
    breaker.admit()


def test_one_at_a_time_asks_whether_stripe_is_back() -> None:
    """After the pause one passes; the others come again soon, and all pass once it was answered."""
    breaker, time = opened()
    time.at += refused(breaker)
    breaker.admit()
    assert refused(breaker) <= 1.0
    breaker.worked()
    breaker.admit()
    breaker.admit()


def test_pauses_grow_only_by_asking() -> None:
    """What was sent before it opened fails too, and makes no pause longer; an asker's failure does, to a bound."""
    breaker, time = opened()
    first = refused(breaker)
    for _ in range(50):
        breaker.failed("no answer")
    assert refused(breaker) == first
    for _ in range(20):
        time.at += refused(breaker)
        breaker.admit()
        breaker.failed("no answer")
    assert first < refused(breaker) <= 10.0


def test_an_asker_that_never_comes_back_is_replaced() -> None:
    """Its process may have ended, or its task."""
    breaker, time = opened()
    time.at += refused(breaker)
    breaker.admit()
    time.at += 60
    breaker.admit()
