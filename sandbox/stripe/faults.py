"""Faults on purpose: what may go wrong between Stripe and the receiver, chosen by rule and by seed."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final, TypeVar

Item = TypeVar("Item")

LOOK_S: Final = 0.05


class Fault(StrEnum):
    """What a rule does to a delivery."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"
    BAD_SIGNATURE = "bad_signature"


@dataclass(slots=True)
class Rule:
    """One fault. It meets events whose type fits `types` (shell patterns), each with `probability`.

    `remaining`: for the next so many events only. `seconds`: how long DELAY holds one back, or REORDER waits at most
    until its `window` is full. `copies`: how many more DUPLICATE sends.
    """

    fault: Fault
    types: tuple[str, ...] = ("*",)
    probability: float = 1.0
    remaining: int | None = None
    seconds: float = 0.05
    copies: int = 1
    window: int = 5

    def meets(self, event_type: str, chance: float) -> bool:
        """Whether this event suffers it; counts down `remaining`."""
        if self.remaining == 0 or chance >= self.probability:
            return False
        if not any(fnmatchcase(event_type, pattern) for pattern in self.types):
            return False
        if self.remaining is not None:
            self.remaining -= 1
        return True


@dataclass(slots=True)
class Faults:
    """The rules in force, and whether deliveries are held until a test releases them."""

    seed: int = 0
    rules: list[Rule] = field(default_factory=list)
    holding: bool = False
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - repeatable, not secret

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force."""
        self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """No more faults."""
        self.rules.clear()

    def reseed(self, seed: int) -> None:
        """Begin the sequence of chances that `seed` names."""
        self.seed = seed
        self.__post_init__()

    def met_by(self, event_type: str) -> list[Rule]:
        """The rules that strike a delivery of this type."""
        return [rule for rule in self.rules if rule.meets(event_type, self._random.random())]

    def shuffle(self, items: list[Item]) -> list[Item]:
        """The same items in another order, by the seed."""
        return self._random.sample(items, len(items))


class OutageMode(StrEnum):
    """How the API itself fails: not at all, 503, answered late, 429, or the connection is cut."""

    NONE = "none"
    DOWN = "down"
    SLOW = "slow"
    RATE_LIMIT = "rate_limit"
    CUT = "cut"


@dataclass(slots=True)
class Outage:
    """The API's present failure, for a time or for a number of requests."""

    mode: OutageMode = OutageMode.NONE
    until: float | None = None
    remaining: int | None = None
    delay: float = 1.0
    retry_after: int | None = None
    begun: int = 0
    monotonic: Callable[[], float] = time.monotonic

    def begin(
        self,
        mode: OutageMode,
        *,
        seconds: float | None = None,
        requests: int | None = None,
        delay: float = 1.0,
        retry_after: int | None = None,
    ) -> None:
        """Fail from now on, for `seconds` or the next `requests`, or until ended."""
        self.mode, self.remaining, self.delay, self.retry_after = mode, requests, delay, retry_after
        self.begun += 1
        self.until = None if seconds is None else self.monotonic() + seconds

    async def linger(self) -> None:
        """Be slow: for `delay`, or until the outage is ended or another begins."""
        begun, until = self.begun, self.monotonic() + self.delay
        while self.begun == begun and (left := until - self.monotonic()) > 0:  # noqa: ASYNC110 - or the time is up
            await asyncio.sleep(min(left, LOOK_S))

    def limit_headers(self) -> dict[str, str]:
        """What Stripe says beside a 429."""
        told = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return {"Stripe-Rate-Limited-Reason": "global-rate", **told}

    def strikes(self) -> OutageMode:
        """How the request at hand fails."""
        if self.until is not None and self.monotonic() >= self.until:
            self.mode = OutageMode.NONE
        if self.remaining is not None and self.mode is not OutageMode.NONE:
            if self.remaining == 0:
                self.mode = OutageMode.NONE
            self.remaining -= 1
        return self.mode
