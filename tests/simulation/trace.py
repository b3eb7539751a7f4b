"""What happened, in order: kept only for its end, and as one number that tells two runs apart."""

from collections import deque
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

_KEPT: Final = 250


class Trace:
    """Call it with a kind and values whose `repr` is the same in every run."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.hash = 0
        self._now = now
        self._last: deque[tuple[float, str, tuple[Any, ...]]] = deque(maxlen=_KEPT)

    def __call__(self, kind: str, *values: Any) -> None:
        """It happened."""
        event = (round(self._now(), 6), kind, values)
        self.hash = crc32(repr(event).encode(), self.hash)
        self._last.append(event)

    def lines(self) -> list[str]:
        """The last events, one a line."""
        return [f"{at:10.4f}  {kind:<12} {' '.join(map(str, values))}" for at, kind, values in self._last]
