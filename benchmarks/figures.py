"""Figures: what was measured. Plain data, which a report keeps as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

_FEW: Final = 10
_VERY_FEW: Final = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; None: it could not be measured. `id` is the name by which `targets.json` knows it."""

    what: str
    measured: float | None
    unit: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured in several ways; None: it could not be."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Grid:
    """Several things, measured in the same ways. `columns` say the unit."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Plot:
    """Rows over `points`, drawn as `plots/<name>.svg`; along a line, the points are numbers."""

    name: str
    title: str
    unit: str
    kind: Literal["bars", "lines"]
    points: Sequence[str | float]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Chapter:
    """The figures of one benchmark. `setting` says what was run, `missing` what was not and how it can be."""

    title: str
    setting: str
    figures: Sequence[Figure] = ()
    grids: Sequence[Grid] = ()
    plots: Sequence[Plot] = ()
    missing: Sequence[str] = ()


def section(chapter: Chapter) -> str:
    """A chapter as Markdown."""
    lines = [f"## {chapter.title}", "", chapter.setting, ""]
    lines += [line for one in chapter.missing for line in (f"**Missing:** {one}", "")]
    for grid in chapter.grids:
        lines += [f"**{grid.title}**", "", *markdown(["", *grid.columns], [_cells(row) for row in grid.rows]), ""]
    if chapter.figures:
        lines += [*markdown(["", "measured"], [(figure.what, told(figure)) for figure in chapter.figures]), ""]
    lines += [line for plot in chapter.plots for line in (f"![{plot.title}](plots/{plot.name}.svg)", "")]
    return "\n".join(lines)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; all columns but the first stand to the right."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]


def told(figure: Figure) -> str:
    """A value with its unit."""
    return "missing" if figure.measured is None else f"{number(figure.measured)} {figure.unit}".rstrip()


def number(value: float) -> str:
    """As many digits as say something."""
    whole = round(value)
    if abs(value - whole) < 1e-9 or abs(value) >= 100:  # noqa: PLR2004 - rounding of sums, not a measure
        return f"{whole:,}"
    if abs(value) >= _FEW:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= _VERY_FEW else f"{value:.3f}"


def _cells(row: Row) -> list[str]:
    return [row.name, *("missing" if value is None else number(value) for value in row.values)]
