"""Plots as SVG: bars beside each other, and lines over a measure. No more than the report needs."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, assert_never
from xml.sax.saxutils import escape

from benchmarks.figures import Plot, number

WIDTH: Final = 760
HEIGHT: Final = 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 40, 90
_COLOURS: Final = ("#2563eb", "#93c5fd", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#64748b", "#a16207")
_STEPS: Final = (1, 2, 2.5, 5, 10)
_LINES: Final = 5
_STYLE: Final = "text{font:12px sans-serif;fill:#334155}.title{font-size:15px;font-weight:600}"

_Up = Callable[[float], float]


def draw(plot: Plot) -> str:
    """The plot as an SVG document; what is missing is left out."""
    values = [value for row in plot.rows for value in row.values if value is not None]
    top = _round_up(max(values, default=1.0))

    def up(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    match plot.kind:
        case "bars":
            shapes = list(_bars(plot, up))
        case "lines":
            shapes = list(_lines(plot, up))
        case _:
            assert_never(plot.kind)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f'<style>{_STYLE}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 22, f"{plot.title} ({plot.unit})", "start", "title"),
        *_axis(top, up),
        *shapes,
        *_legend([row.name for row in plot.rows]),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _axis(top: float, up: _Up) -> Iterator[str]:
    for step in range(_LINES + 1):
        value = top * step / _LINES
        y = up(value)
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e8f0"/>'
        yield _text(_LEFT - 8, y + 4, number(value), "end")


def _bars(plot: Plot, up: _Up) -> Iterator[str]:
    group = (WIDTH - _LEFT - _RIGHT) / len(plot.points)
    bar = group * 0.8 / len(plot.rows)
    for at, point in enumerate(plot.points):
        begin = _LEFT + group * at
        yield _text(begin + group / 2, HEIGHT - _BOTTOM + 18, _label(point), "middle")
        for index, row in enumerate(plot.rows):
            value = row.values[at]
            if value is not None:
                x, y = begin + group * 0.1 + bar * index, up(value)
                size = f'width="{bar * 0.92:.1f}" height="{up(0) - y:.1f}" fill="{_colour(index)}"'
                yield f'<rect x="{x:.1f}" y="{y:.1f}" {size}><title>{escape(row.name)}: {number(value)}</title></rect>'


def _lines(plot: Plot, up: _Up) -> Iterator[str]:
    """Over a linear measure, so that what grows in proportion is straight."""
    points = [float(point) for point in plot.points]
    most = max(points, default=1.0) or 1.0
    xs = [_LEFT + (WIDTH - _LEFT - _RIGHT) * point / most for point in points]
    last = -math.inf
    for x, point in zip(xs, points, strict=True):
        if x - last > 50:  # noqa: PLR2004 - room for a label
            yield _text(x, HEIGHT - _BOTTOM + 18, _label(point), "end" if x > WIDTH - 60 else "middle")
            last = x
    for index, row in enumerate(plot.rows):
        found = [(x, up(value)) for x, value in zip(xs, row.values, strict=True) if value is not None]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in found)
        yield f'<polyline points="{path}" fill="none" stroke="{_colour(index)}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_colour(index)}"/>' for x, y in found)


def _legend(names: Sequence[str]) -> Iterator[str]:
    columns = 3
    for index, name in enumerate(names):
        x = _LEFT + (WIDTH - _LEFT) / columns * (index % columns)
        y = HEIGHT - _BOTTOM + 34 + 17 * (index // columns)
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="10" height="10" fill="{_colour(index)}"/>'
        yield _text(x + 15, y + 9, name, "start")


def _text(x: float, y: float, words: str, anchor: str, style: str = "label") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _label(point: str | float) -> str:
    return point if isinstance(point, str) else number(point)


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _round_up(value: float) -> float:
    """The next number that divides well."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in _STEPS if value <= step * size * 1.0000001)
