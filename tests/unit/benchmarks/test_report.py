"""The benchmarks' report: what is kept, shown and compared, on canned figures."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import plots, targets
from benchmarks.__main__ import BENCHMARKS
from benchmarks.figures import Chapter, Figure, Grid, Plot, Row, section
from benchmarks.report import Circumstances, Measured, Report
from benchmarks.targets import Target

CIRCUMSTANCES = Circumstances("2026-01-02 03:04", "abc1234", "a machine", 0.1, 1.5, 12.0)
BARS = Plot("speed", "Speed <&>", "1/s", "bars", ("one", "two"), (Row("ours", (3.0, 4.0)), Row("theirs", (None, 1.0))))
LINES = Plot("size", "Size", "MB", "lines", (1_000, 1_000_000), (Row("ours", (50.0, 290.5)),))


def chapter(measured: float | None = 9.5) -> Chapter:
    """A chapter with everything that one can have."""
    return Chapter(
        "Speed",
        "Tried once.",
        [Figure("fast", measured, "ms", "speed.fast"), Figure("many", 1_234)],
        [Grid("Beside", ["1/s", "ms"], [Row("ours", (81_234.6, 0.0123)), Row("theirs", (None, None))])],
        [BARS, LINES],
        ["nginx was not found"],
    )


def test_a_chapter_shows_what_is_missing_and_how_to_get_it() -> None:
    """Nothing that was not measured looks like a figure."""
    assert section(chapter(None)).splitlines() == [
        "## Speed",
        "",
        "Tried once.",
        "",
        "**Missing:** nginx was not found",
        "",
        "**Beside**",
        "",
        "|  | 1/s | ms |",
        "| --- | ---: | ---: |",
        "| ours | 81,235 | 0.012 |",
        "| theirs | missing | missing |",
        "",
        "|  | measured |",
        "| --- | ---: |",
        "| fast | missing |",
        "| many | 1,234 |",
        "",
        "![Speed <&>](plots/speed.svg)",
        "",
        "![Size](plots/size.svg)",
    ]


def test_a_report_keeps_what_is_not_measured_anew(tmp_path: Path) -> None:
    """One part's run replaces that part alone, in the report and in its JSON."""
    report = Report().plus("slow", Measured(Chapter("Slow", "Tried."), CIRCUMSTANCES))
    report.plus("fast", Measured(chapter(8.0), CIRCUMSTANCES)).write(tmp_path, ["fast", "slow"])
    again = Report.read(tmp_path).plus("fast", Measured(chapter(9.5), CIRCUMSTANCES))
    again.write(tmp_path, ["fast", "slow"])
    text = (tmp_path / "report.md").read_text()
    assert text.index("## Speed") < text.index("## Slow") < text.index("## Targets")
    assert "| fast | 9.50 ms |" in text
    assert "| slow | 2026-01-02 03:04 | `abc1234` | 0.1 | 1.5 ms | 12 s |" in text
    assert text.count("Machine: a machine.") == 1
    assert Report.read(tmp_path).chapters["fast"].chapter.plots[1].points == [1_000, 1_000_000]
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["size.svg", "speed.svg"]


@pytest.mark.parametrize(
    ("target", "measured", "verdict"),
    [
        (Target("x", "", most=10), 10, "met"),
        (Target("x", "", most=10), 12.5, "missed by 25%"),
        (Target("x", "", most=10), 35, "missed by a factor of 3.50"),
        (Target("x", "", most=0), 2, "missed by 2"),
        (Target("x", "", least=0.8), 0.8, "met"),
        (Target("x", "", least=0.8), 0.6, "missed by 25%"),
        (Target("x", "", least=5), None, "not measured"),
    ],
)
def test_a_target_says_by_how_much_it_is_missed(target: Target, measured: float | None, verdict: str) -> None:
    """As a part of the target."""
    assert target.verdict(measured) == verdict


def test_targets_stand_beside_what_was_measured() -> None:
    """Each by the figure's id."""
    wanted = [Target("speed.fast", "fast", most=10, unit="ms"), Target("speed.other", "other", least=5)]
    figures = {"speed.fast": Figure("fast", 9.5, "ms", "speed.fast")}
    assert targets.comparison(wanted, figures)[2:] == [
        "| fast | at most 10 ms | 9.50 ms | met |",
        "| other | at least 5 |  | not measured |",
    ]


def test_every_target_of_the_file_belongs_to_a_part() -> None:
    """The file is read, each target is there once, and none is of a part that nobody measures."""
    found = [target.figure for target in targets.load()]
    assert len(set(found)) == len(found)
    assert {figure.partition(".")[0] for figure in found} <= {*BENCHMARKS, "starts", "memory"}


def test_a_target_without_a_bound_is_refused(tmp_path: Path) -> None:
    """It would always be met."""
    path = tmp_path / "targets.json"
    path.write_text('[{"figure": "x", "what": "x"}]')
    with pytest.raises(ValueError, match="target x must have either most or least"):
        targets.load(path)


@pytest.mark.parametrize(("plot", "shape", "count"), [(BARS, "rect", 1 + 3 + 2), (LINES, "circle", 2)])
def test_a_plot_draws_what_was_measured(plot: Plot, shape: str, count: int) -> None:
    """One shape for each value that is there, within a picture that can be read."""
    picture = ET.fromstring(plots.draw(plot))
    assert len(list(picture.iter(f"{{http://www.w3.org/2000/svg}}{shape}"))) == count
