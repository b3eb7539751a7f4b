"""Times out of documents' bytes, as writers write them. Pure."""

from typing import Final

from common.clock import Instant, parse_time

_MOST_REMEMBERED: Final = 65_536


class DoubtError(Exception):
    """A document is not of the plain shape: let the ordinary reader see it."""


class Instants:
    """Reads times. Their days, minutes of the day and seconds of the minute are few, and are remembered."""

    def __init__(self) -> None:
        self._days: dict[bytes, int] = {}
        self._minutes: dict[bytes, int] = {}
        self._seconds: dict[bytes, int] = {}

    def read(self, day: bytes, minute: bytes, second: bytes, fraction: bytes | None) -> Instant:
        """`{day}{minute}{second}.{fraction}Z`, where the fraction are microseconds; DoubtError where it is no time."""
        try:
            moment = self._days[day] + self._minutes[minute] + self._seconds[second]
        except KeyError:
            moment = self._learn(day, minute, second)
        return Instant(moment if fraction is None else moment + int(fraction))

    def _learn(self, *pieces: bytes) -> int:
        try:
            day, minute, second = (piece.decode() for piece in pieces)
            moment = parse_time(f"{day}{minute}{second}Z")
        except ValueError as error:
            raise DoubtError from error
        if len(self._days) < _MOST_REMEMBERED:
            self._days[day.encode()] = parse_time(f"{day}00:00:00Z")
            self._minutes[minute.encode()] = parse_time(f"1970-01-01T{minute}00Z")
            self._seconds[second.encode()] = parse_time(f"1970-01-01T00:00:{second}Z")
        return moment
