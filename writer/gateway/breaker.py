"""A breaker: once Stripe failed several times in a row, work that can wait does, and one request asks if it is back."""

import logging
from collections.abc import Callable
from random import Random
from typing import Final

from common.backoff import Backoff
from writer.gateway.errors import StripeUnavailableError

_log = logging.getLogger(__name__)

FAILURES: Final = 5
"""In a row. A single fault is passed over by repeating, and must not stop everything."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 10.0
_PROBE: Final = 15.0
"""Seconds that one request may take to find out; should it never come back, another one asks."""


class Breaker:
    """Closed while Stripe answers. Open: `admit` refuses, but for one request each time a growing pause has passed."""

    def __init__(self, rng: Random, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._pauses = Backoff(rng, _FIRST_PAUSE, _LONGEST_PAUSE)
        self._failures = 0
        self._open_until: float | None = None
        self._asking = False

    @property
    def is_open(self) -> bool:
        """Whether work that can wait has to."""
        return self._open_until is not None

    def admit(self) -> None:
        """Return where a request may be sent; else StripeUnavailableError says when to ask again."""
        if self._open_until is None:
            return
        now = self._monotonic()
        if now < self._open_until:
            words = f"it failed {self._failures} times in a row, so that what can wait does"
            # Whoever is refused while one asks comes again soon: its answer is a matter of moments.
            raise StripeUnavailableError(words, _FIRST_PAUSE if self._asking else self._open_until - now)
        self._open_until, self._asking = now + _PROBE, True

    def worked(self) -> None:
        """Stripe answered, whatever it said."""
        if self._open_until is not None:
            _log.info("Stripe is back after %d failures in a row", self._failures)
        self._failures, self._open_until, self._asking = 0, None, False
        self._pauses.reset()

    def failed(self, reason: str) -> None:
        """There was no answer, or one that says that Stripe itself has a fault."""
        self._failures += 1
        if self._failures < FAILURES:
            return
        if self._open_until is None:
            _log.warning("Stripe is away, background work waits for it failures=%d reason=%r", self._failures, reason)
        elif not self._asking:
            return  # sent before it opened: what is known already makes no pause longer
        self._open_until, self._asking = self._monotonic() + self._pauses.wait(), False
