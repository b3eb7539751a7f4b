"""When work that failed is tried again."""

import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Schedule:
    """Exponential backoff with jitter. Seconds; `tries` counts the first one too."""

    first: float
    longest: float
    tries: int

    def pause(self, failures: int, asked: float | None = None) -> float:
        """How long to wait after so many failures in a row; never less than was `asked` for."""
        grown = self.first * 2.0 ** min(failures - 1, 40)
        # Half is kept, so that nothing is tried at once; half is drawn, so that what failed together parts.
        pause = min(grown, self.longest) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        return pause if asked is None else max(pause, asked + random.uniform(0.0, 1.0))  # noqa: S311

    def is_last(self, failures: int) -> bool:
        """Whether nothing is tried any more after so many failures."""
        return failures >= self.tries


OUTAGE: Final = Schedule(first=0.5, longest=300.0, tries=400)
"""Stripe or Postgres is away: about a day, longer than any outage that Stripe has had.

Nobody wakes the events when it is over, so none waits longer than five minutes for its next try.
"""

SURPRISE: Final = Schedule(first=0.5, longest=600.0, tries=10)
"""An error that nobody foresaw: some minutes, in case it passes; then somebody must look."""
