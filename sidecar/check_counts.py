"""Checks counted by outcome and by time taken. Every answer pays for it, so counting is adding to a list's cell."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

BOUNDS: Final = (25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1.0, 5.0)
"""Upper bounds of the histogram, in seconds."""

QUICK: Final = BOUNDS[0]
"""Nearly every answer takes no longer, and belongs to the first bucket."""

Cell = list[int]
"""A count, `[n]`, that whoever counts keeps at hand."""


class CheckCounts(Collector):
    """Of one process and one loop; nothing here is locked."""

    def __init__(self) -> None:
        self.buckets: list[int] = [0] * (len(BOUNDS) + 1)
        """Answers by time taken; the last is for longer ones than any bound."""
        self.seconds = 0.0
        self.stale = 0
        """Answers that said that they are stale."""
        self._outcomes: dict[str, Cell] = {}

    def cell(self, outcome: str) -> Cell:
        """Where checks of an outcome are counted: a reason, or an error's code."""
        return self._outcomes.setdefault(outcome, [0])

    def count(self, outcome: str, *, stale: bool = False) -> None:
        """One check came to an outcome, and was answered from a stale copy or not."""
        self.cell(outcome)[0] += 1
        self.stale += stale

    def observe(self, seconds: float) -> None:
        """One check was answered within so long."""
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def outcomes(self) -> dict[str, int]:
        """How many checks came to each outcome."""
        return {str(outcome): cell[0] for outcome, cell in self._outcomes.items() if cell[0]}

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of it before it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics, as Prometheus takes them."""
        checks = CounterMetricFamily(
            "sidecar_checks", "Checks by outcome: a reason, or an error's code", labels=["outcome"]
        )
        for outcome, cell in self._outcomes.items():
            checks.add_metric([outcome], cell[0])
        yield checks
        yield CounterMetricFamily("sidecar_stale_answers", "Checks answered as stale", value=self.stale)
        taken = HistogramMetricFamily("sidecar_check_seconds", "Time to answer a check")
        taken.add_metric([], self._cumulated(), self.seconds)
        yield taken

    def _cumulated(self) -> list[tuple[str, float]]:
        total, cumulated = 0, []
        for bound, count in zip((*BOUNDS, float("inf")), self.buckets, strict=True):
            total += count
            cumulated.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        return cumulated
