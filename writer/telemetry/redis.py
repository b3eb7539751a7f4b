"""What Redis says of itself: how often a key that was asked for was there. Asked now and then, for Prometheus."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import NoPermissionError, RedisError

from common.redis_nodes import Nodes
from writer.supervision import jittered

_log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 10.0


class RedisStatistics(Collector):
    """Run it in the background; while Redis is away, the last numbers stand. Before the first there are none."""

    def __init__(self, nodes: Nodes, registry: CollectorRegistry) -> None:
        self._nodes = nodes
        self._counted: dict[str, int] = {}
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """As they stood last."""
        for name, what in (("hits", "found"), ("misses", "did not find")):
            family = CounterMetricFamily(
                f"billing_redis_keyspace_{name}",
                f"Reads at Redis, whoever's, that {what} their key; since its start, all primaries together",
            )
            if name in self._counted:
                family.add_metric([], self._counted[name])
            yield family

    async def run(self) -> None:
        """Ask now and then, until cancelled, or until Redis does not let us."""
        while True:
            try:
                await self.ask()
            except NoPermissionError:
                _log.info("Redis does not let its user run INFO: there will be no billing_redis_keyspace figures")
                return
            except (RedisError, OSError) as error:
                # Whether Redis is away, the relay tells.
                _log.debug("Redis was not asked for its statistics error=%s", type(error).__name__)
            await asyncio.sleep(jittered(_EVERY_SECONDS))

    async def ask(self) -> None:
        """Ask every primary once."""
        answers: list[dict[str, Any]] = [
            await self._nodes.client(address).info("stats") for address in await self._nodes.addresses()
        ]
        self._counted = {
            name: sum(int(answer.get(f"keyspace_{name}", 0)) for answer in answers) for name in ("hits", "misses")
        }
