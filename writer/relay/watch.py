"""Watch: Redis reports keys of ours that others changed or that went away, so that they are looked at at once.

Server-assisted client-side caching in broadcast mode does it: one connection listens, the writing connection is left
out of the reports. Where a proxy or an access rule forbids it, inspection and scrub remain.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from common.background import SAY_AGAIN
from common.backoff import Backoff
from common.redis_faults import explained
from common.redis_url import NodeAddress
from writer.cache.link import RedisLink
from writer.supervision import pauses

_log = logging.getLogger(__name__)

_CHANNEL: Final = "__redis__:invalidate"
_PING_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 15.0
_REFUSED_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 1.0
"""How soon it is noticed that other servers of a cluster hold the keys now."""


class Watched(Protocol):
    """Who wants to know."""

    def changed(self, key: str) -> None:
        """Somebody else wrote or deleted this key, or it expired or was evicted."""
        ...

    def emptied(self) -> None:
        """All keys may be gone, or may have changed while nobody listened."""
        ...


class KeyWatch:
    """Listens to each server that holds keys, on one connection; `run` until cancelled."""

    def __init__(self, link: RedisLink, watched: Watched) -> None:
        self._link = link
        self._watched = watched

    async def run(self) -> None:
        """Listen, to other servers where a cluster has others than before."""
        listeners: dict[NodeAddress | None, asyncio.Task[None]] = {}
        try:
            while True:
                for address, task in listeners.items():
                    if task.done():
                        raise AssertionError(f"nobody listens any more to {address}") from task.exception()
                await self._follow(listeners, await self._addresses())
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await _end(listeners.values())

    async def _addresses(self) -> Sequence[NodeAddress | None] | None:
        try:
            return await self._link.addresses()
        except (RedisError, OSError) as error:
            _log.debug("nobody says which servers hold keys error=%s", type(error).__name__)
            return None

    async def _follow(
        self, listeners: dict[NodeAddress | None, asyncio.Task[None]], addresses: Sequence[NodeAddress | None] | None
    ) -> None:
        if addresses is None:
            return
        await _end([listeners.pop(address) for address in set(listeners) - set(addresses)])
        for address in addresses:
            if address not in listeners:
                listeners[address] = asyncio.create_task(self._listen_to(address))

    async def _listen_to(self, address: NodeAddress | None) -> None:
        """Listen, and begin again where the connection breaks."""
        backoff = pauses()
        while True:
            pool = self._link.listening_pool(address)
            try:
                connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # so redis-py ships it
                await self._listen(connection, address, backoff)
            except ResponseError as error:
                _log.warning(
                    "Redis does not report changed keys, the scrub finds them later error=%s", explained(error)
                )
                await asyncio.sleep(_REFUSED_SECONDS)
            except (RedisError, OSError) as error:
                _log.debug("the listener for changed keys lost Redis error=%s", type(error).__name__)
                self._link.reading.doubt()
            finally:
                self._link.report_no_more(address)
                await pool.disconnect()
            await asyncio.sleep(backoff.wait())

    async def _listen(self, connection: AbstractConnection, address: NodeAddress | None, backoff: Backoff) -> None:
        await connection.send_command("CLIENT", "ID")
        client_id = await connection.read_response()
        await connection.send_command("SUBSCRIBE", _CHANNEL)
        await connection.read_response()
        await self._link.report_changes_to(address, int(client_id))
        self._watched.emptied()
        backoff.reset()
        pinging = asyncio.create_task(_ping(connection))
        try:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    message = await connection.read_response()
                self._take(message)
        finally:
            pinging.cancel()

    def _take(self, message: Any) -> None:
        if not isinstance(message, list) or message[0] != b"message":
            return
        changed = message[2]
        if changed is None:
            self._watched.emptied()
            return
        for key in changed:
            self._watched.changed(key.decode(errors="replace"))


async def _ping(connection: AbstractConnection) -> None:
    while True:
        await asyncio.sleep(_PING_SECONDS)
        await connection.send_command("PING")


async def _end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    pending = set(tasks)
    while pending:  # before Python 3.12 the Redis client may swallow a cancellation
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=SAY_AGAIN)
