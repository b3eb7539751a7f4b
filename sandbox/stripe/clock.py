"""The server's clock: real time plus an offset, pinned to each due moment while time is moved."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Unix seconds. `created` is real time unless somebody moved the clock."""

    def __init__(self, offset: float = 0.0, wall: Callable[[], float] = time.time) -> None:
        self.offset = offset
        self._wall = wall
        self._pinned: int | None = None

    def now(self) -> int:
        """Whole seconds since 1970 by this clock."""
        return self._pinned if self._pinned is not None else int(self._wall() + self.offset)

    def move_to(self, moment: int) -> None:
        """Set the clock; it runs on from there."""
        self.offset = moment - self._wall()
        if int(self._wall() + self.offset) < moment:
            self.offset += 0.001

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """Let time stand at `moment`: work that fell due in the past carries the moment it fell due."""
        before, self._pinned = self._pinned, moment
        try:
            yield
        finally:
            self._pinned = before
