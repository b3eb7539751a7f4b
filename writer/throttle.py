"""Failed authentications by address: who guesses keys is slowed down, and who holds a good one is not held up for it.

A project's key has 256 random bits, which nobody guesses: it is always judged, and only what a wrong one is answered
changes. An admin key is chosen by people. From an address with too many failures it is judged only where the same key
was good from there within a day; any other waits until a failure is forgiven.
"""

from collections import OrderedDict
from http import HTTPStatus
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from common.clock import Clock
from common.problems import Problem

BURST: Final = 20
"""Failures in a row that an address may have. A person who mistypes a key, or an app with an old one, has fewer."""
FORGIVEN_SECONDS: Final = 6.0
"""After how long an address is forgiven one failure: so many seconds an admin key waits that is new to it."""
GOOD_SECONDS: Final = 86_400.0
"""For how long an address is known for an admin key that was good."""
MOST_ADDRESSES: Final = 10_000
"""Beyond that those that were seen longest ago are forgotten: a flood from many addresses must not take the memory."""


class Throttle:
    """Counts failures by client address. Nothing outlives the process, and writers do not share it."""

    def __init__(self, clock: Clock, registry: CollectorRegistry) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._good: OrderedDict[tuple[str, bytes], float] = OrderedDict()
        self._failures = Counter(
            "billing_authentication_failures",
            "Requests without a good key, by the code that they were answered",
            ["code"],
            registry=registry,
        )

    def check(self, address: str | None, key: bytes) -> None:
        """Whether an admin key, by its hash, may be judged now; Problem 429 `too_many_failures` where it may not."""
        seen = self._good.get((address or "", key))
        if seen is not None and self._clock.monotonic() - seen < GOOD_SECONDS:
            return
        over = self._over(address or "")
        if over > 0:
            raise self.told(_too_many(over))

    def succeeded(self, address: str | None, key: bytes) -> None:
        """An admin key was good."""
        self._good[address or "", key] = self._clock.monotonic()
        self._good.move_to_end((address or "", key))
        if len(self._good) > MOST_ADDRESSES:
            self._good.popitem(last=False)

    def failed(self, address: str | None, problem: Problem) -> Problem:
        """What to answer a request that showed no good key: `problem`, or 429 `too_many_failures`."""
        over = self._over(address or "")
        if over > 0:
            return self.told(_too_many(over))
        failures, at = self._failed[address or ""]
        self._failed[address or ""] = (failures + 1, at)
        return self.told(problem)

    def told(self, problem: Problem) -> Problem:
        """The same problem, counted: a good key where another kind of key belongs is no guess."""
        self._failures.labels(problem.code).inc()
        return problem

    def _over(self, address: str) -> float:
        """Seconds until another failure may be told apart; 0 or less: now. What is refused meanwhile does not count."""
        now = self._clock.monotonic()
        failures, at = self._failed.pop(address, (0.0, now))
        failures = max(0.0, failures - (now - at) / FORGIVEN_SECONDS)
        self._failed[address] = (failures, now)
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)
        return (failures + 1 - BURST) * FORGIVEN_SECONDS


def _too_many(seconds: float) -> Problem:
    wait = max(1, -int(-seconds // 1))
    detail = f"too many requests from this address had no good key: try again in {wait} s"
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "too_many_failures", detail, headers={"Retry-After": str(wait)})
