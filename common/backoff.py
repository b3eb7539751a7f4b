"""Waits between attempts: growing, bounded, jittered."""

from random import Random


class Backoff:
    """Doubles from `first` to `most` seconds; each wait is spread over half of itself and the whole."""

    def __init__(self, rng: Random, first: float = 0.1, most: float = 5.0) -> None:
        self._rng = rng
        self._first = first
        self._most = most
        self._next = first

    def reset(self) -> None:
        """Begin small again."""
        self._next = self._first

    def wait(self) -> float:
        """Seconds to wait before the next attempt."""
        seconds = self._next * (0.5 + self._rng.random() / 2)
        self._next = min(self._next * 2, self._most)
        return seconds
