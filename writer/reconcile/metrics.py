"""What Prometheus is told of reconciling."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from common.clock import SECOND
from writer.reconcile.findings import FindingKind
from writer.reconcile.standing import RunsStanding


class ReconcileMetrics:
    """Counters of this process, and two gauges that every writer sets alike."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._found = Counter(
            "billing_reconcile_findings",
            "Objects that a reconcile run of this writer found, by finding and kind of object",
            ["finding", "kind"],
            registry=registry,
        )
        self._finished = Gauge(
            "billing_reconcile_last_finished_timestamp_seconds",
            "When the last reconcile run of any writer was finished; 0 where none ever was",
            registry=registry,
        )
        self._running = Gauge(
            "billing_reconcile_running", "Whether a reconcile run of any writer is open", registry=registry
        )
        self._seconds = Gauge(
            "billing_reconcile_last_seconds", "How long the last reconcile run of any writer took", registry=registry
        )

    def found(self, finding: FindingKind, kind: str) -> None:
        """One object was found so."""
        self._found.labels(finding.value, kind).inc()

    def stands(self, now: RunsStanding) -> None:
        """How things stand by the database."""
        self._running.set(now.running)
        self._finished.set(0 if now.finished_at is None else now.finished_at / SECOND)
        self._seconds.set(now.seconds or 0)
