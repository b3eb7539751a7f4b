"""Time: wall time in whole microseconds since 1970 (UTC), and a monotonic clock for ages."""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType, Protocol

Instant = NewType("Instant", int)
"""Wall time: microseconds since 1970-01-01T00:00:00Z."""

SECOND = 1_000_000
_MINUTE = 60 * SECOND
_DAY = 86_400 * SECOND
_TWO_DIGITS = tuple(f"{number:02d}" for number in range(60))
_MINUTES = tuple(f"{hour:02d}:{minute}" for hour in range(24) for minute in _TWO_DIGITS)
"""Every minute of a day; writing it anew would be a good part of an answer's time."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


class TimeError(ValueError):
    """A time must be RFC 3339 with a zone, such as 2026-01-31T12:00:00Z."""


class Clock(Protocol):
    """What the time is. Tests and simulations bring their own."""

    def now(self) -> Instant:
        """Wall time; it may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; it never goes back. Ages are counted with it."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Instant:
        """Wall time; it may jump."""
        return time.time_ns() // 1000  # type: ignore[return-value] # naming the type takes as long as the clock does

    def monotonic(self) -> float:
        """Seconds since some fixed moment; it never goes back."""
        return time.monotonic()


def from_seconds(seconds: float) -> Instant:
    """Unix seconds, as Stripe writes them."""
    return Instant(round(seconds * SECOND))


def from_datetime(moment: datetime) -> Instant:
    """An aware datetime, as Postgres gives it."""
    return Instant((moment - _EPOCH) // _MICROSECOND)


def to_datetime(instant: Instant) -> datetime:
    """An aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def format_time(instant: Instant) -> str:
    """RFC 3339 in UTC; a fraction only where there is one, so that equal instants have equal texts."""
    day, within = divmod(instant, _DAY)
    minute, within = divmod(within, _MINUTE)
    second, fraction = divmod(within, SECOND)
    ending = f".{fraction:06d}Z" if fraction else "Z"
    return f"{_date(day)}T{_MINUTES[minute]}:{_TWO_DIGITS[second]}{ending}"


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    """The date of a day since 1970; every answer that has a time needs one, and few differ."""
    # strftime would write the year 33 with two digits, which is no RFC 3339.
    return (_EPOCH.date() + timedelta(days=day)).isoformat()


def parse_time(text: str) -> Instant:
    """Read RFC 3339 with any zone; TimeError where it is not."""
    if not _RFC3339.fullmatch(text):
        raise TimeError(TimeError.__doc__)
    try:
        return from_datetime(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise TimeError(TimeError.__doc__) from error
