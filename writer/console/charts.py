"""Charts: where the bars of one stand. Pure; a template draws them, and a table beside says the same in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 440
HEIGHT: Final = 160
_LEFT: Final = 44  # room for the numbers at the side
_TOP: Final = 8
_BOTTOM: Final = 24  # room for the labels below
_GAP: Final = 0.25  # of a bar's place


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and what it says."""

    x: float
    y: float
    width: float
    height: float
    label: str
    value: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line across, with its number."""

    y: float
    value: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars that stand beside each other, on a scale from 0. All in the units of its view box."""

    width: int
    height: int
    left: int
    base: float
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]


def bars(points: Sequence[tuple[str, float | None]]) -> Chart:
    """A chart of label and value, from left to right; what is unknown or below 0 is drawn as 0, and the table tells."""
    base = HEIGHT - _BOTTOM
    top = _round_up(max((value or 0 for _, value in points), default=0))
    place = (WIDTH - _LEFT) / max(len(points), 1)
    drawn = []
    for number, (label, value) in enumerate(points):
        height = max(value or 0, 0) / top * (base - _TOP)
        x = _LEFT + number * place + place * _GAP / 2
        drawn.append(
            Bar(round(x, 1), round(base - height, 1), round(place * (1 - _GAP), 1), round(height, 1), label, value or 0)
        )
    lines = tuple(Line(round(base - part * (base - _TOP), 1), top * part) for part in (0.5, 1.0))
    return Chart(WIDTH, HEIGHT, _LEFT, base, tuple(drawn), lines)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 …, so that the numbers at the side are plain ones."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))
