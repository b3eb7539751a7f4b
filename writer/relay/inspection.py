"""Inspection: each second, whether Redis still holds what it is said to hold, and nothing that was never committed."""

from collections.abc import Callable
from typing import Protocol

from common.position import Position
from writer.cache.copy import CacheCopy, Holding
from writer.relay.heads import Heads
from writer.relay.project_relay import ProjectRelay


class Epochs(Protocol):
    """Begins new epochs."""

    async def raise_epoch(self, project_id: int, above: Position, seen_in: str) -> bool:
        """Begin a new epoch because `above` was seen and never committed."""
        ...


class Inspection:
    """Looks at one project's keys for the holder of its lease. `on_damage` is told what is wrong."""

    def __init__(
        self, relay: ProjectRelay, cache: CacheCopy, heads: Heads, epochs: Epochs, on_damage: Callable[[str], None]
    ) -> None:
        self._relay = relay
        self._cache = cache
        self._heads = heads
        self._epochs = epochs
        self._on_damage = on_damage

    async def look(self, *, refilling: bool, thorough: bool = False) -> None:
        """Look once; while a refill of ours runs, only for a future that Postgres does not know.

        `thorough`: into the change log too, whose server may have failed over and forgotten what it had told last.
        """
        async with self._relay.order:
            at = self._relay.position
            if at is None:
                return
            held = await self._cache.holding(self._relay.lease.project, at.epoch)
            damage = self._damage(held, at)
            if damage is None and thorough and held.log and not await self._log_is_whole(at):
                damage = "the change log has lost entries"
        if held.position is not None:
            await self.compare(held.position, "redis")
        if self._relay.ahead is not None:
            await self.compare(self._relay.ahead, "redis")
            self._relay.ahead = None
        if damage is not None and not refilling:
            self._on_damage(damage)

    async def compare(self, seen: Position, seen_in: str) -> None:
        """Begin a new epoch if `seen`, which somebody holds, is not committed."""
        known = self._heads.of(self._relay.lease.project_id)
        if known is not None and seen <= known.position:
            return
        # What was seen before the head is read was committed before, if it ever was.
        head = await self._heads.read(self._relay.lease.project_id)
        if seen > head.position:
            await self._epochs.raise_epoch(head.project_id, seen, seen_in)

    async def _log_is_whole(self, at: Position) -> bool:
        first, last, length = await self._cache.log_bounds(self._relay.lease.project, at.epoch)
        return length == last - first + 1 and last >= at.revision

    def _damage(self, held: Holding, at: Position) -> str | None:
        if held.position is None:
            return "Redis holds nothing" if held.token is None else "a refill was not ended"
        if held.position < at:
            return "Redis is behind"
        standing = self._relay.standing
        lost = {
            "the catalogue": not held.catalogue,
            "the users set": not held.users and standing is not None and standing.count > 0,
            "the change log": not held.log and self._relay.logged,
        }
        missing = [name for name, is_lost in lost.items() if is_lost]
        return f"{' and '.join(missing)} went away" if missing else None
