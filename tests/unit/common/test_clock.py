"""Times as they are written and read."""

import pytest

from common.clock import format_time, parse_time


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T00:00:00Z",
        "2026-11-22T17:20:00.000001Z",
        "2026-11-22T17:20:00.120000Z",
        "0033-04-03T15:00:00Z",
        "9999-12-31T23:59:59.999999Z",
    ],
)
def test_what_is_written_can_be_read(text: str) -> None:
    """Every instant has one text, RFC 3339 in UTC with four digits of the year, and is read back from it."""
    assert format_time(parse_time(text)) == text
