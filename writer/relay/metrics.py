"""What the relay tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from common.identifiers import ProjectId


class RelayMetrics:
    """The relay's figures, in a registry that the composition root owns."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Gauge(
            "billing_relay_lag_revisions", "Committed revisions not relayed yet.", ["project"], registry=registry
        )
        self._published = Counter(
            "billing_relay_published", "Changes told to Redis and sidecars.", ["project"], registry=registry
        )
        self._refills = Counter("billing_relay_refills", "Refills of Redis begun.", ["project"], registry=registry)
        self._epochs = Counter("billing_epoch_rises", "Epochs begun, by cause.", ["cause"], registry=registry)
        self._repairs = Counter(
            "billing_cache_repairs", "Documents found missing or wrong in Redis.", ["project"], registry=registry
        )
        self._redis_up = Gauge("billing_redis_up", "1 while Redis takes what is relayed.", registry=registry)
        self._crashes = Counter("billing_background_crashes", "Background work crashed.", ["name"], registry=registry)
        self._held = Gauge("billing_relay_leases", "Projects that this writer relays.", registry=registry)

    def lag(self, project: ProjectId, revisions: int) -> None:
        """How many committed revisions wait to be relayed."""
        self._lag.labels(project).set(revisions)

    def published(self, project: ProjectId, changes: int) -> None:
        """Changes were told."""
        self._published.labels(project).inc(changes)

    def refill(self, project: ProjectId) -> None:
        """A refill began."""
        self._refills.labels(project).inc()

    def epoch_rise(self, cause: str) -> None:
        """A new epoch began, because of `lineage`, `redis`, `sidecar` or `changes`."""
        self._epochs.labels(cause).inc()

    def repaired(self, project: ProjectId, documents: int) -> None:
        """Documents were written again."""
        self._repairs.labels(project).inc(documents)

    def redis_up(self, *, up: bool) -> None:
        """Redis takes writes, or does not."""
        self._redis_up.set(up)

    def crashed(self, name: str) -> None:
        """Background work crashed."""
        self._crashes.labels(name).inc()

    def held(self, leases: int) -> None:
        """How many projects are relayed here."""
        self._held.set(leases)

    def let_go(self, project: ProjectId) -> None:
        """The project is relayed elsewhere now: its lag is another's to tell."""
        self._lag.labels(project)  # so that there is one to remove
        self._lag.remove(project)
