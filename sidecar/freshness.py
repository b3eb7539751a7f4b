"""How old a copy is, and what that means for its answers. Pure; ages are monotonic."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from common.catalogue import OnStale
from common.clock import SECOND, Instant
from common.position import Position

_MOST_PENDING: Final = 120  # two minutes of heartbeats; a copy further behind than that is loaded afresh anyway


CLOCKS_DIFFER: Final = 2.0
"""Seconds that the wall clocks of sidecar and writer may be apart."""

_COMPARED: Final = 5  # heartbeats


class State(StrEnum):
    """What an age means."""

    FRESH = "fresh"
    STALE = "stale"
    """Answers say so."""
    TOO_OLD = "too_old"
    """Answers follow the stale policy."""


@dataclass(frozen=True, slots=True)
class StalePolicy:
    """When a copy is stale and too old, in seconds, and what is answered then unless the feature says otherwise."""

    stale_after: float = 5.0
    max_stale: float | None = None
    """None: never too old."""
    on_stale: OnStale = OnStale.SERVE


class Freshness:
    """The age of one copy, counted from the last moment at which it was known to hold everything committed."""

    def __init__(self, policy: StalePolicy) -> None:
        self.policy = policy
        self.clock_difference: float | None = None
        """Seconds that our wall clock is ahead of the writer's, message delay included; None before a heartbeat."""
        self.clocks_differ = False
        """Whether that is more than can be let pass."""
        self._differences: deque[float] = deque(maxlen=_COMPARED)
        self.moves = 0
        """Counts whatever changes the age but time."""
        self._since: float | None = None
        self._confirmed = False
        self._pending: deque[tuple[Position, float]] = deque()

    def loaded(self, at: float) -> None:
        """A copy came from a source that cannot say whether it is current: its age counts from `at`, and is stale."""
        if self._since is None:
            self._since = at
            self.moves += 1

    def confirmed(self, at: float) -> None:
        """The copy holds everything that was committed at `at`."""
        self._since = at if self._since is None or not self._confirmed else max(self._since, at)
        self._confirmed = True
        self.moves += 1

    def heard(self, head: Position, at: float) -> None:
        """A heartbeat said at `at` that `head` is committed; it counts once the copy has reached that."""
        if len(self._pending) == _MOST_PENDING:
            self._pending.pop()  # the oldest are reached first
        self._pending.append((head, at))

    def reached(self, position: Position) -> None:
        """The copy stands at `position`."""
        while self._pending and self._pending[0][0] <= position:
            head, at = self._pending.popleft()
            if head.epoch == position.epoch:  # what a lineage that was given up said counts for nothing
                self.confirmed(at)

    def compare_clocks(self, sent_at: Instant, received_at: Instant) -> bool:
        """Note how far the two wall clocks are apart; whether that has just become too far, or stopped to be.

        No age depends on it, but what is valid when does. A message that comes late looks like a clock that is
        ahead, so the smallest of some differences counts.
        """
        self._differences.append((received_at - sent_at) / SECOND)
        self.clock_difference = min(self._differences)
        differ = len(self._differences) == _COMPARED and abs(self.clock_difference) > CLOCKS_DIFFER
        changed = differ is not self.clocks_differ
        self.clocks_differ = differ
        return changed

    def age(self, now: float) -> float:
        """Seconds since the copy was known to be current; infinite before it was loaded."""
        return float("inf") if self._since is None else max(0.0, now - self._since)

    def state(self, now: float) -> State:
        """What the age means now."""
        age = self.age(now)
        if self.policy.max_stale is not None and age > self.policy.max_stale:
            return State.TOO_OLD
        if not self._confirmed or age > self.policy.stale_after:
            return State.STALE
        return State.FRESH
