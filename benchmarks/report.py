"""The report: `report.json`, which keeps what was measured last of everything, and `report.md` with its plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import msgspec
import orjson

from benchmarks import plots, targets
from benchmarks.figures import Chapter, Figure, markdown, section
from benchmarks.targets import Target

HOW: Final = """\
`make bench` measures everything in one run, on a machine that should do nothing else; `make bench BENCH_ARGS="check"`
measures one part (`docs/benchmarks.md` names them) and leaves the others as they were. Everything runs on this one
machine and its loopback. Figures are medians of short rounds in which the candidates take turns. A missed target is a
figure, not an error."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When, of what, and on what something was measured."""

    at: str
    commit: str
    machine: str
    load_before: float
    """Processes that wanted a core in the minute before: more than one says that the machine was not idle."""
    flush_ms: float
    """What a page takes to the disk: every commit waits for that."""
    seconds: float
    """How long measuring took."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One chapter and its circumstances."""

    chapter: Chapter
    circumstances: Circumstances


@dataclass(frozen=True, slots=True)
class Report:
    """Chapters by name."""

    chapters: Mapping[str, Measured] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What was measured before; empty where nothing was."""
        path = folder / "report.json"
        return msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else cls()

    def plus(self, name: str, measured: Measured) -> "Report":
        """With a chapter measured anew."""
        return replace(self, chapters={**self.chapters, name: measured})

    def write(self, folder: Path, order: Sequence[str]) -> None:
        """Write `report.json`, `report.md` and `plots/*.svg`."""
        folder.mkdir(parents=True, exist_ok=True)
        data = orjson.dumps(self, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        (folder / "report.json").write_bytes(data)
        (folder / "report.md").write_text(self.render(order, targets.load()))
        drawn = folder / "plots"
        drawn.mkdir(exist_ok=True)
        for plot in (plot for measured in self.chapters.values() for plot in measured.chapter.plots):
            (drawn / f"{plot.name}.svg").write_text(plots.draw(plot))

    def render(self, order: Sequence[str], wanted: Sequence[Target]) -> str:
        """The report as Markdown, chapters in that order, the targets at the end."""
        found = [(name, self.chapters[name]) for name in order if name in self.chapters]
        parts = ["# Measured", "", HOW, "", *_circumstances(found), ""]
        parts += [section(measured.chapter) for _, measured in found]
        parts += ["## Targets", "", *targets.comparison(wanted, self._figures()), ""]
        return "\n".join(parts)

    def _figures(self) -> dict[str, Figure]:
        every = (figure for measured in self.chapters.values() for figure in measured.chapter.figures)
        return {figure.id: figure for figure in every if figure.id}


def _circumstances(found: Sequence[tuple[str, Measured]]) -> list[str]:
    machines = dict.fromkeys(measured.circumstances.machine for _, measured in found)
    rows = [
        (
            name,
            told.at,
            f"`{told.commit}`",
            f"{told.load_before:.1f}",
            f"{told.flush_ms:.1f} ms",
            f"{told.seconds:.0f} s",
        )
        for name, told in ((name, measured.circumstances) for name, measured in found)
    ]
    head = ["part", "UTC", "commit", "load before", "flush to disk", "took"]
    return [*(f"Machine: {machine}.\n" for machine in machines), *markdown(head, rows)]
