"""This process's own figures, read when they are asked for: keys, caches, database connections."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncEngine

from writer.auth import Authenticator
from writer.db.pool import CountedPool
from writer.recompute import Recompute


class ProcessMetrics(Collector):
    """Reads what the parts count by themselves. Registers itself."""

    def __init__(
        self, registry: CollectorRegistry, auth: Authenticator, recompute: Recompute, engines: Mapping[str, AsyncEngine]
    ) -> None:
        self._auth = auth
        self._recompute = recompute
        self._engines = engines
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """All of them, as they stand."""
        yield from self._keys()
        yield from self._caches()
        yield from self._connections()

    def _keys(self) -> Iterator[Metric]:
        uses = CounterMetricFamily(
            "billing_key_requests", "Requests with a good project key, by project and app", labels=["project", "app"]
        )
        for (project, app), count in self._auth.uses.items():
            uses.add_metric([project, app], count)
        yield uses
        admin = CounterMetricFamily(
            "billing_admin_key_requests",
            "Requests with an admin key, by the key's name in the audit log",
            labels=["key"],
        )
        for key, count in self._auth.admin_uses.items():
            admin.add_metric([key], count)
        yield admin

    def _caches(self) -> Iterator[Metric]:
        lookups = CounterMetricFamily(
            "billing_cache_lookups",
            "Lookups in this writer's own caches, by cache (keys, catalogues) and outcome (hit, miss)",
            labels=["cache", "outcome"],
        )
        for cache, outcomes in (("keys", self._auth.lookups), ("catalogues", self._recompute.lookups)):
            for outcome in ("hit", "miss"):
                lookups.add_metric([cache, outcome], outcomes[outcome])
        yield lookups

    def _connections(self) -> Iterator[Metric]:
        size = GaugeMetricFamily(
            "billing_database_pool_size", "Connections that this writer may open, by server", labels=["pool"]
        )
        used = GaugeMetricFamily(
            "billing_database_pool_in_use", "Connections at work, by server (primary, replica)", labels=["pool"]
        )
        waiting = GaugeMetricFamily(
            "billing_database_pool_waiting", "Who waits for a connection to become free, by server", labels=["pool"]
        )
        for name, engine in self._engines.items():
            pool = engine.pool
            if not isinstance(pool, CountedPool):
                continue
            size.add_metric([name], pool.size())
            used.add_metric([name], pool.checkedout())
            waiting.add_metric([name], pool.waiting)
        yield from (size, used, waiting)
