"""Billing periods: boundaries counted from an anchor, so that the 31st comes back after February."""

import calendar
from datetime import UTC, datetime
from typing import Final

from sandbox.stripe.shapes import JsonObject

DAYS: Final = {"day": 1, "week": 7}
MONTHS: Final = {"month": 1, "year": 12}
SECONDS_A_DAY: Final = 86400
LENGTHS: Final = {"day": (1, 1), "week": (7, 7), "month": (28, 31), "year": (365, 366)}
"""The shortest and longest an interval can be, in days."""


def boundary(anchor: int, recurring: JsonObject, count: int) -> int:
    """The anchor and `count` intervals."""
    steps: int = recurring["interval_count"] * count
    interval = recurring["interval"]
    if interval in DAYS:
        return anchor + DAYS[interval] * SECONDS_A_DAY * steps
    start = datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + MONTHS[interval] * steps, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def end_after(anchor: int, recurring: JsonObject, moment: int) -> int:
    """The first boundary later than `moment`; the anchor itself when that is still to come."""
    if anchor > moment:
        return anchor
    spans = LENGTHS[recurring["interval"]]
    shortest, longest = (days * recurring["interval_count"] * SECONDS_A_DAY for days in spans)
    first, last = max(1, (moment - anchor) // longest), (moment - anchor) // shortest + 2
    ends = (boundary(anchor, recurring, number) for number in range(first, last + 1))
    return next(end for end in ends if end > moment)


def share_left(start: int, end: int, now: int) -> float:
    """How much of a period is still to come, 0 to 1."""
    return min(1.0, max(0.0, (end - now) / (end - start))) if end > start else 0.0
