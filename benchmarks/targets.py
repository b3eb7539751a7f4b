"""What the figures are compared with; see `targets.json`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.figures import Figure, markdown, number

TARGETS: Final = Path(__file__).with_name("targets.json")


@dataclass(frozen=True, slots=True)
class Target:
    """What the figure of that id is to be: `most` or `least`, exactly one of them."""

    figure: str
    what: str
    most: float | None = None
    least: float | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if (self.most is None) is (self.least is None):
            raise ValueError(f"target {self.figure} must have either most or least")

    @property
    def wanted(self) -> str:
        """In words."""
        bound, value = ("at most", self.most) if self.least is None else ("at least", self.least)
        return f"{bound} {number(value or 0.0)} {self.unit}".rstrip()

    def verdict(self, measured: float | None) -> str:
        """Met or missed, and by how much of the target."""
        if measured is None:
            return "not measured"
        if self.least is not None:
            return "met" if measured >= self.least else f"missed by {_part(self.least - measured, self.least)}"
        most = self.most or 0.0
        return "met" if measured <= most else f"missed by {_part(measured - most, most)}"


def load(path: Path = TARGETS) -> Sequence[Target]:
    """Read the file; msgspec.ValidationError where it is none."""
    return msgspec.json.decode(path.read_bytes(), type=tuple[Target, ...])


def comparison(targets: Iterable[Target], figures: Mapping[str, Figure]) -> list[str]:
    """The lines of a table: each target beside what was measured."""
    rows = []
    for target in targets:
        figure = figures.get(target.figure)
        measured = None if figure is None else figure.measured
        shown = "" if measured is None else f"{number(measured)} {target.unit}".rstrip()
        rows.append((target.what, target.wanted, shown, target.verdict(measured)))
    return markdown(["", "target", "measured", ""], rows)


def _part(difference: float, of: float) -> str:
    return (
        number(difference) if of == 0 else f"{difference / of:.0%}" if difference / of < 1 else _times(difference, of)
    )


def _times(difference: float, of: float) -> str:
    return f"a factor of {number((difference + of) / of)}"
