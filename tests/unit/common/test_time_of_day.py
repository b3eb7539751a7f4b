"""A time of the day is written with two digits each, or `off`."""

from datetime import time

import pytest

from common.settings import Reader


@pytest.mark.parametrize(
    ("text", "expected"), [("", time(3)), ("00:00", time(0)), ("23:59", time(23, 59)), ("off", None)]
)
def test_good_times(text: str, expected: time | None) -> None:
    """Unset takes the default; `off` is no time at all."""
    reader = Reader({"RECONCILE_AT": text})
    assert reader.time_of_day("RECONCILE_AT", time(3)) == expected
    assert reader.faults == []


@pytest.mark.parametrize("text", ["3:00", "24:00", "12:60", "03:00:00", "midnight", "OFF"])
def test_bad_times(text: str) -> None:
    """Anything else is a fault that says how it is written, and not what was."""
    reader = Reader({"RECONCILE_AT": text})
    reader.time_of_day("RECONCILE_AT", time(3))
    assert reader.faults == ["RECONCILE_AT must be a time of the day in UTC, such as 03:00, or off"]
