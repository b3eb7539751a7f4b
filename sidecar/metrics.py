"""What the sidecar counts, in a registry of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from common import build
from common.identifiers import ProjectId
from sidecar.check_counts import CheckCounts
from sidecar.project import Mode, Project

_LAG_BUCKETS: Final = (1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0, 5.0, 30.0, 300.0)


class Metrics:
    """Counters and histograms; gauges are read from the projects when they are asked for."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.checks = CheckCounts()
        self.registry.register(self.checks)
        build.tell("sidecar_build_info", self.registry)
        self.changes = self._counter("changes_applied", "Changes applied", "project")
        self.propagation_seconds = Histogram(
            "sidecar_propagation_seconds",
            "From when the writer received the cause of a change until it was applied here, by wall clocks",
            ["project"],
            buckets=_LAG_BUCKETS,
            registry=self.registry,
        )
        self.gaps_filled = self._counter("gaps_filled", "Gaps filled, by source", "project", "source")
        self.loads = self._counter("loads", "Whole copies loaded and put in", "project", "source", "reason")
        self.load_failures = self._counter("load_failures", "Loads and fills that failed", "project")
        self.digest_mismatches = self._counter("digest_mismatches", "Copies found to differ", "project")
        self.refused = self._counter(
            "refused_messages", "Messages and documents that could not be read", "project", "kind"
        )
        self.refused_copies = self._counter(
            "refused_copies", "Copies on disk that were not taken at the start", "project", "kind"
        )
        self.saves = self._counter("copy_saves", "Copies saved to disk, or not", "project", "outcome")
        self.origin_questions = self._counter("origin_questions", "Users asked of the writer", "project", "outcome")
        self.ofrep_bulks = self._counter("ofrep_bulk_evaluations", "Evaluations of all flags, by outcome", "outcome")
        self.streams = Gauge("sidecar_streams", "Event streams that are open", registry=self.registry)
        self.streams_ended = self._counter("streams_ended", "Event streams that ended, by why", "why")
        self.stream_events = self._counter("stream_events", "Events written to streams", "event")
        self.crashes = self._counter("task_crashes", "Background tasks that crashed", "task")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"sidecar_{name}", text, labels, registry=self.registry)

    def watch(self, projects: Mapping[ProjectId, Project], monotonic: Callable[[], float]) -> None:
        """Show these projects' copies as gauges."""
        self.registry.register(_Copies(projects, monotonic))


class _Copies(Collector):
    def __init__(self, projects: Mapping[ProjectId, Project], monotonic: Callable[[], float]) -> None:
        self._projects = projects
        self._monotonic = monotonic

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        now = self._monotonic()
        yield self._gauge("sidecar_synced", "1 once the project was loaded", lambda p: p.replica.synced)
        yield self._gauge(
            "sidecar_copy_users", "Users with a document", lambda p: p.replica.copy.count if p.replica.copy else None
        )
        yield self._gauge("sidecar_copy_epoch", "Epoch of the copy", lambda p: p.position and p.position.epoch)
        yield self._gauge("sidecar_copy_revision", "Revision of the copy", lambda p: p.position and p.position.revision)
        yield self._gauge(
            "sidecar_copy_complete",
            "1 while a miss is an answer",
            lambda p: p.replica.copy.complete if p.replica.copy else None,
        )
        yield self._gauge(
            "sidecar_age_seconds",
            "Since the copy was known to be current",
            lambda p: p.freshness.age(now) if p.replica.synced else None,
        )
        yield self._gauge(
            "sidecar_clock_difference_seconds",
            "How far our wall clock is ahead of the writer's",
            lambda p: p.freshness.clock_difference,
        )
        starts = GaugeMetricFamily(
            "sidecar_start_seconds", "How long the first load took, by source", labels=["project", "source"]
        )
        for name, project in self._projects.items():
            if project.started is not None:
                starts.add_metric([name, project.started.source.value], project.started.seconds)
        yield starts
        modes = GaugeMetricFamily("sidecar_mode", "1 for what keeps the project in step", labels=["project", "mode"])
        for name, project in self._projects.items():
            for mode in Mode:
                modes.add_metric([name, mode.value], float(project.mode(now) is mode))
        yield modes

    def _gauge(self, name: str, text: str, value: Callable[[Project], float | None]) -> Metric:
        gauge = GaugeMetricFamily(name, text, labels=["project"])
        for project_name, project in self._projects.items():
            read = value(project)
            if read is not None:
                gauge.add_metric([project_name], float(read))
        return gauge
