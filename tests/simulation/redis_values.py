"""What the model of Redis holds under its keys, and its clients."""

from collections.abc import Callable
from typing import Any


class Stream:
    """Entries by number, and the last one that ever was."""

    def __init__(self) -> None:
        self.entries: dict[int, dict[bytes, bytes]] = {}
        self.last = 0


class Client:
    """One connection, as Redis sees it. `push` takes what comes without having been asked for."""

    def __init__(self, number: int, push: Callable[[list[Any]], None]) -> None:
        self.number = number
        self.push = push
        self.channels: set[str] = set()
        self.reports_to: int | None = None
        """Whom changed keys are reported to."""
        self.prefixes: tuple[str, ...] = ()


class Sorted(dict[bytes, float]):
    """Members with their scores."""


def text_of(word: Any) -> str:
    """A command's word."""
    return word.decode() if isinstance(word, bytes) else str(word)
