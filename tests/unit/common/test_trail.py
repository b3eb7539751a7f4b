"""Ids from outside are kept where they are sane, and decide nothing where they are not."""

from typing import Any

import pytest

from common.trail import NOWHERE, Trail

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def test_what_is_written_is_read() -> None:
    """Whole or in parts; nothing is an empty object."""
    for trail in (Trail("r-1", "evt_1", TRACEPARENT), Trail(event_id="evt_2"), NOWHERE):
        assert Trail.from_json(trail.to_json()) == trail
    assert (bool(NOWHERE), NOWHERE.to_json(), bool(Trail("r"))) == (False, {}, True)


@pytest.mark.parametrize(
    "parsed",
    [
        None, [], "evt_1", 7, {"more": 1}, {"request_id": 5, "event_id": None}, {"request_id": "a b"},
        {"request_id": "x" * 65, "event_id": "evt 1", "traceparent": "00-1-2-3"},
        {"traceparent": f"00-{'0' * 32}-{'b' * 16}-01"}, {"traceparent": f"{TRACEPARENT}\n"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_left_out(parsed: Any) -> None:
    """Whatever a message holds, reading it never fails."""
    assert Trail.from_json(parsed) == NOWHERE
