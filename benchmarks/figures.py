"""Figures: what was measured, beside what the design asks for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_FEW: Final = 10


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `target` is the largest that is good enough; None: nothing is asked of it."""

    what: str
    measured: float
    unit: str = ""
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if self.target is None:
            return ""
        return "met" if self.measured <= self.target else "missed"


@dataclass(frozen=True, slots=True)
class Chapter:
    """The figures of one benchmark; `setting` says what was run."""

    title: str
    setting: str
    figures: Sequence[Figure]


def table(chapters: Iterable[Chapter]) -> str:
    """The figures as Markdown."""
    lines: list[str] = []
    for chapter in chapters:
        lines += [f"## {chapter.title}", "", chapter.setting, "", "| | target | measured | |", "|---|---|---|---|"]
        lines += [_row(figure) for figure in chapter.figures]
        lines.append("")
    return "\n".join(lines)


def _row(figure: Figure) -> str:
    target = "" if figure.target is None else f"{_number(figure.target)} {figure.unit}".rstrip()
    measured = f"{_number(figure.measured)} {figure.unit}".rstrip()
    return f"| {figure.what} | {target} | {measured} | {figure.verdict} |"


def _number(value: float) -> str:
    whole = round(value)
    if abs(value - whole) < 1e-9:  # noqa: PLR2004 - rounding of sums, not a measure
        return f"{whole:,}"
    return f"{value:,.1f}" if abs(value) < _FEW else f"{whole:,}"
