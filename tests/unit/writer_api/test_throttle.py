"""Failures by address: guessing is slowed down, a good key is not."""

import pytest
from prometheus_client import CollectorRegistry

from common.clock import SECOND, Instant
from common.problems import Problem, bad_request
from writer import throttle
from writer.throttle import BURST, FORGIVEN_SECONDS, GOOD_SECONDS, Throttle

WRONG = bad_request("invalid_key", "wrong")


class Clock:
    """Shows the time that a test sets."""

    at = 1_000.0

    def now(self) -> Instant:
        """The set time."""
        return Instant(round(self.at * SECOND))

    def monotonic(self) -> float:
        """The same."""
        return self.at


def _failed(subject: Throttle, times: int, address: str = "10.0.0.1") -> list[str]:
    return [subject.failed(address, WRONG).code for _ in range(times)]


def test_a_burst_is_told_what_is_wrong_and_then_when_to_come_again() -> None:
    """One failure is forgiven after a while; what is refused meanwhile does not make it longer."""
    clock, registry = Clock(), CollectorRegistry()
    subject = Throttle(clock, registry)
    assert _failed(subject, BURST) == ["invalid_key"] * BURST
    assert _failed(subject, 50) == ["too_many_failures"] * 50
    told = subject.failed("10.0.0.1", WRONG)
    assert (told.status, told.headers) == (429, {"Retry-After": str(round(FORGIVEN_SECONDS))})
    assert _failed(subject, 1, "10.0.0.2") == ["invalid_key"]
    clock.at += FORGIVEN_SECONDS
    assert _failed(subject, 2) == ["invalid_key", "too_many_failures"]
    name = "billing_authentication_failures_total"
    assert registry.get_sample_value(name, {"code": "too_many_failures"}) == 52
    assert registry.get_sample_value(name, {"code": "invalid_key"}) == BURST + 2


def test_an_admin_key_that_was_good_from_there_is_never_held_up() -> None:
    """Any other is not even judged until a failure is forgiven; after a day the known one is like any other."""
    clock = Clock()
    subject = Throttle(clock, CollectorRegistry())
    subject.succeeded("10.0.0.1", b"good")
    _failed(subject, BURST)
    subject.check("10.0.0.1", b"good")
    with pytest.raises(Problem, match="try again in 6 s"):
        subject.check("10.0.0.1", b"guess")
    subject.check("10.0.0.2", b"guess")
    clock.at += FORGIVEN_SECONDS
    subject.check("10.0.0.1", b"guess")
    clock.at += GOOD_SECONDS
    _failed(subject, BURST)
    with pytest.raises(Problem):
        subject.check("10.0.0.1", b"good")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood from many addresses drops those that were seen longest ago."""
    monkeypatch.setattr(throttle, "MOST_ADDRESSES", 3)
    subject = Throttle(Clock(), CollectorRegistry())
    _failed(subject, BURST, "first")
    for number in range(3):
        _failed(subject, 1, f"10.0.0.{number}")
        subject.succeeded(f"10.0.0.{number}", b"key")
    assert _failed(subject, 1, "first") == ["invalid_key"]
    subject.succeeded("last", b"key")
    assert len(subject._failed) == len(subject._good) == 3
