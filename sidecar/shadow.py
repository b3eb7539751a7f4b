"""Shadow mode: an app that still decides by its old logic tells what it expected, and disagreements are counted.

`expected=true|false` changes no answer. Once a feature's disagreements stay at zero, the app can rely on the answers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from common.clock import Clock, Instant, format_time
from common.decision import Decision, Reason
from common.identifiers import FeatureCode, ProjectId, UserId
from common.problems import bad_request

UNKNOWN: Final = FeatureCode("(unknown)")
"""Stands for every feature that the catalogue does not have: what is asked must not make a metric of its own."""


@dataclass(slots=True)
class _Tally:
    agreed: int = 0
    disagreed: int = 0
    last: tuple[Instant, UserId, bool] | None = None
    """The last disagreement: when, about whom, and what was expected."""


class Shadow(Collector):
    """Counts by project and feature, in memory: a sidecar that starts anew counts anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tallies: dict[ProjectId, dict[FeatureCode, _Tally]] = defaultdict(dict)

    def compare(
        self, project: ProjectId, user: UserId, feature: FeatureCode, decision: Decision, *, expected: bool
    ) -> None:
        """Count whether the decision is what was expected."""
        name = UNKNOWN if decision.reason is Reason.UNKNOWN_FEATURE else feature
        tally = self._tallies[project].setdefault(name, _Tally())
        if decision.allowed is expected:
            tally.agreed += 1
        else:
            tally.disagreed += 1
            tally.last = self._clock.now(), user, expected

    def standing(self, project: ProjectId) -> dict[str, Any]:
        """What `/status` says: by feature, how often was compared and disagreed, and the last disagreement."""
        return {name: _told(tally) for name, tally in sorted(self._tallies[project].items())}

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of it before it is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """One counter, as Prometheus takes it."""
        text = "Checks that told what was expected, by whether it was answered"
        family = CounterMetricFamily("sidecar_shadow_checks", text, labels=["project", "feature", "agreed"])
        for project, tallies in self._tallies.items():
            for feature, tally in tallies.items():
                family.add_metric([project, feature, "true"], tally.agreed)
                family.add_metric([project, feature, "false"], tally.disagreed)
        yield family


def parse_expected(text: str) -> bool:
    """`true` or `false`, or Problem 400 `invalid_expected`."""
    if text not in {"true", "false"}:
        raise bad_request("invalid_expected", "expected must be true or false: what the app's own logic has decided")
    return text == "true"


def _told(tally: _Tally) -> dict[str, Any]:
    told: dict[str, Any] = {"compared": tally.agreed + tally.disagreed, "disagreed": tally.disagreed}
    if tally.last is not None:
        at, user, expected = tally.last
        told["last_disagreement"] = {"at": format_time(at), "user_id": user, "expected": expected}
    return told
