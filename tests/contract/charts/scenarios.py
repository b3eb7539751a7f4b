"""The scenarios: `ci/*-values.yaml` of the charts, each what some team would install."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python as helm

from tests.contract.charts.values import CHARTS

_ENDING: Final = "-values.yaml"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Values of a chart, and what they are for."""

    chart: str
    path: Path

    @property
    def name(self) -> str:
        """The file's, without its ending."""
        return self.path.name.removesuffix(_ENDING)

    @property
    def values(self) -> dict[str, Any]:
        """Read as Helm reads `--values`."""
        return _values(self.path)

    def __str__(self) -> str:
        return f"{self.chart}-{self.name}"


@cache
def _values(path: Path) -> dict[str, Any]:
    return helm.values_from_yaml(path.read_text(encoding="utf-8"))


def _found(chart: str) -> list[Scenario]:
    return [Scenario(chart, path) for path in sorted((CHARTS / chart / "ci").glob(f"*{_ENDING}"))]


WRITERS: Final = _found("billing-writer")
APPS: Final = _found("example-app")
ALL: Final = [*WRITERS, *APPS]


def of(chart: str, name: str) -> Scenario:
    """A scenario by its name."""
    [found] = [each for each in ALL if (each.chart, each.name) == (chart, name)]
    return found
