"""How far behind the event list we are, and what was found on it."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from common.clock import SECOND, Clock, Instant
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.inbox import Origin


class SweepMetrics:
    """One writer's; the lag is the same in each, as of its last look."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._read_to: Instant | None = None
        self._found = Counter(
            "billing_sweep_found",
            "Events on Stripe's list that had not been received, by type and origin",
            ["type", "origin"],
            registry=registry,
        )
        self._runs = Counter(
            "billing_sweep_runs", "Times that the list was read, by outcome", ["outcome"], registry=registry
        )
        gauge = Gauge(
            "billing_sweep_lag_seconds", "Since when Stripe's list of events was not read to its end", registry=registry
        )
        gauge.set_function(self._lag)

    def stands(self, read_to: Instant | None) -> None:
        """Up to where the list was read, by this writer or another."""
        self._read_to = read_to

    def _lag(self) -> float:
        return 0.0 if self._read_to is None else max(0.0, (self._clock.now() - self._read_to) / SECOND)

    def found(self, event_type: str, origin: Origin) -> None:
        """An event was taken in."""
        self._found.labels(event_type if event_type in KIND_OF_TYPE else "other", origin.value).inc()

    def read(self, *, well: bool) -> None:
        """The list was read to its end, or was not."""
        self._runs.labels("finished" if well else "failed").inc()
