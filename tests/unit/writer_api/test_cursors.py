"""Cursors lead on in one list, and say so where they cannot."""

from base64 import urlsafe_b64encode

import orjson
import pytest

from common.problems import Problem
from writer.api.cursors import Cursor, Kind

USERS = Cursor("users", Kind.TEXT, Kind.ID)


def _sent(value: object) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def test_a_page_tells_where_it_goes_on() -> None:
    """`next` leads behind the last row, whatever its text; the last page has none."""
    page = USERS.page([("a", 1), ("ü:/ ", 2), ("c", 3)], 2, lambda row: row)
    assert list(page.rows) == [("a", 1), ("ü:/ ", 2)]
    assert USERS.after.read([page.next or ""]) == ("ü:/ ", 2)
    assert USERS.page([("c", 3)], 2, lambda row: row).next is None
    assert USERS.after.read([]) is USERS.after.read([""]) is None


@pytest.mark.parametrize(
    "sent",
    [
        "evt_1",
        "é",
        "x" * 3_000,
        _sent(["keys", "a", 1]),
        _sent(["users", "a"]),
        _sent(["users", 1, "a"]),
        _sent(["users", "a", -1]),
        _sent(["users", "a", True]),
        _sent(["users", "a", 2**64 - 1]),
        _sent(["users", "a\0", 1]),
        _sent({"users": 1}),
        _sent([]),
    ],
)
def test_a_cursor_of_anything_else_is_refused(sent: str) -> None:
    """Another list's, a forged one, or none at all."""
    with pytest.raises(Problem) as refused:
        USERS.after.read([sent])
    assert refused.value.code == "invalid_cursor"


@pytest.mark.parametrize("sent", ["0", "501", "-1", "1.5", "x", "", "9" * 5_000, "٣"])
def test_a_limit_is_a_number_within_bounds(sent: str) -> None:
    """Anything else is refused with the bounds."""
    with pytest.raises(Problem, match="from 1 to 500"):
        USERS.limit.read([sent])
