"""Bounds of durations are told the way durations are written."""

import pytest

from common.settings import Reader, SettingsError


@pytest.mark.parametrize(
    ("least", "most", "text", "fault"),
    [
        (60, 1e9, "5s", "WAIT must be at least 1m"),
        (1, 600, "1h", "WAIT must be from 1s to 10m"),
        (0.1, 30 * 86_400, "31d", "WAIT must be from 100ms to 30d"),
        (0, 90, "2m", "WAIT must be from 0s to 90s"),
    ],
)
def test_a_duration_out_of_bounds_names_them_with_units(least: float, most: float, text: str, fault: str) -> None:
    """Never bare seconds or an exponent."""
    reader = Reader({"WAIT": text})
    reader.duration("WAIT", None, least=least, most=most)
    with pytest.raises(SettingsError) as caught:
        reader.finish()
    assert caught.value.faults == [fault]
