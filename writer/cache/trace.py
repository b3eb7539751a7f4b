"""A trace of each seen event in Redis, `webhook:{event_id}`, for people to look at. It decides nothing."""

import asyncio
import logging
from typing import Final

import orjson
from redis.exceptions import RedisError

from common import keys
from common.clock import Clock, format_time
from common.redis_nodes import Nodes
from writer.domain.stripe.event import Event

_log = logging.getLogger(__name__)

KEPT: Final = 7 * 86_400
"""Seconds that a trace stays."""

_WAITING: Final = 1_000
_TOGETHER: Final = 100
_GATHER_SECONDS: Final = 0.1
"""People look later: until then the payer's change goes first, and what came meanwhile is written together."""


class RedisTrace:
    """Writes traces behind the request's back. With Redis away they are dropped."""

    def __init__(self, redis: Nodes, clock: Clock) -> None:
        self._redis = redis
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_WAITING)

    def leave(self, event: Event) -> None:
        """Note the event for `run` to write."""
        seen = {"type": event.type, "object": event.object_id, "received_at": format_time(self._clock.now())}
        if not self._waiting.full():
            self._waiting.put_nowait((keys.webhook(event.id), orjson.dumps(seen)))

    async def run(self) -> None:
        """Write what is noted, until cancelled."""
        while True:
            traces = [await self._waiting.get()]
            await asyncio.sleep(_GATHER_SECONDS)
            while len(traces) < _TOGETHER and not self._waiting.empty():
                traces.append(self._waiting.get_nowait())
            try:
                await self._redis.send([("SET", key, value, "EX", KEPT) for key, value in traces])
            except (RedisError, OSError) as error:
                _log.debug("traces dropped count=%d error=%s", len(traces), type(error).__name__)
