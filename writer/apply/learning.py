"""Learning of an object that was never seen: fetched once, however many wait to know it."""

import asyncio
from collections.abc import Awaitable, Callable

from writer.domain.stripe.kinds import ObjectKind
from writer.gateway.fetching import allow_or_raise
from writer.outbox import Cause, Revision

Refresh = Callable[[ObjectKind, str, Cause], Awaitable[list[Revision]]]


class Learning:
    """Joins those who need the same at the same time: a new price is bought by many before anybody knows it.

    Each on its own would fetch it again whenever another was quicker. Not for what is known and may have changed: a
    fetch that began earlier does not tell of that.
    """

    def __init__(self, refresh: Refresh) -> None:
        self._refresh = refresh
        self._fetches: dict[tuple[ObjectKind, str], asyncio.Task[None]] = {}

    async def learn(self, kind: ObjectKind, object_id: str, cause: Cause) -> None:
        """Return once the object was fetched and applied; fails for all alike."""
        allow_or_raise()  # one who may not fetch must not begin it for others
        fetch = self._fetches.get((kind, object_id))
        if fetch is None:
            fetch = asyncio.create_task(self._fetch(kind, object_id, cause), name=f"learning of {object_id}")
            self._fetches[kind, object_id] = fetch
            fetch.add_done_callback(lambda done: self._end(kind, object_id, done))
        await asyncio.shield(fetch)

    async def _fetch(self, kind: ObjectKind, object_id: str, cause: Cause) -> None:
        await self._refresh(kind, object_id, cause)

    def _end(self, kind: ObjectKind, object_id: str, done: asyncio.Task[None]) -> None:
        del self._fetches[kind, object_id]
        if not done.cancelled():
            done.exception()  # told to those who wait; all of them may have left
