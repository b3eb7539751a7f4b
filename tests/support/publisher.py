"""Writes a `History` into Redis the way a relay does, with the faults that a test asks for."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from common import catalogue as catalogues
from common import document as documents
from common import keys, wire
from common.clock import SystemClock
from common.wire import CatalogChanged, Change, Heartbeat, UserChanged
from tests.support.history import START, History


class Publisher:
    """One relay of one project. Order: document, users set, change log, publish, meta."""

    def __init__(self, client: Redis, history: History) -> None:
        self._client: Any = client
        self.history = history
        self._relayed = 0

    async def relay(self, *, publish: bool = True) -> None:
        """Write what was committed since the last time; without `publish` the channel hears nothing of it."""
        pending = [change for change in self.history.changes if change.position.revision > self._relayed]
        for change in pending:
            await self.write(change)
            await self.log(change)
            if publish:
                await self.publish(wire.encode(change))
        self._relayed = self.history.revision
        await self.meta()

    async def write(self, change: Change) -> None:
        """Only the document or catalogue."""
        project = self.history.project
        match change:
            case UserChanged(document):
                await self._client.set(keys.document(document.user_id, project), documents.encode(document))
                await self._client.sadd(keys.users(project), document.user_id)
            case CatalogChanged(catalogue):
                await self._client.set(keys.catalog(project), catalogues.encode(catalogue))

    async def log(self, change: Change, data: bytes | None = None) -> None:
        """Only the change log; `data` stands in for the message."""
        fields = {keys.STREAM_FIELD: wire.encode(change) if data is None else data}
        await self._client.xadd(self.log_key, fields, id=f"{change.position.revision}-0")

    async def publish(self, data: bytes) -> None:
        """Only the channel."""
        await self._client.publish(keys.channel(self.history.project), data)

    async def heartbeat(self, heartbeat: Heartbeat | None = None) -> None:
        """Say how far the project has come."""
        await self.publish(wire.encode(heartbeat or self.history.heartbeat(SystemClock().now())))

    async def meta(self, **more: str) -> None:
        """Say what Redis holds; `token="…"` as during a refill."""
        history = self.history
        fields = {
            "epoch": str(history.epoch),
            "revision": str(history.revision),
            "count": str(history.count),
            "digest": wire.format_digest(history.digest),
            **more,
        }
        await self._client.hset(keys.meta(history.project), mapping=fields)

    async def trim(self, keep: int) -> None:
        """Forget the log's oldest entries."""
        await self._client.xtrim(self.log_key, maxlen=keep, approximate=False)

    async def forget(self, names: Sequence[str]) -> None:
        """Delete keys."""
        await self._client.delete(*names)

    async def refill(self) -> None:
        """After a loss: write everything anew; the log begins again behind it."""
        self._relayed = self.history.revision
        await self.write(CatalogChanged(self.history.catalogue, START))
        for document in self.history.documents.values():
            await self.write(UserChanged(document, START))
        await self.meta()

    @property
    def log_key(self) -> str:
        """The change log's key."""
        return keys.changes(self.history.epoch, self.history.project)
