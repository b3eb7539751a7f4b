"""Presence: which sidecars follow a project, as they say themselves at Redis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from common import keys
from common.clock import SECOND, Clock
from common.identifiers import ProjectId
from common.position import Position
from writer.cache.commands import RedisCommands

FORGET_SECONDS: Final = 86_400
_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Presence:
    """One sidecar's last word. `seen_at` in Unix seconds; `facts` is all that it said, while that is kept."""

    instance: str
    seen_at: float
    position: Position | None
    facts: Mapping[str, Any]


class Presences:
    """Reads presences. Every method raises CacheFaultError."""

    def __init__(self, commands: RedisCommands, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock

    async def of(self, project: ProjectId) -> Sequence[Presence]:
        """The sidecars whose presence has not expired."""
        return [one for one in await self.listed(project) if one.facts]

    async def listed(self, project: ProjectId) -> Sequence[Presence]:
        """Every sidecar that was seen within a day; whose presence has expired has no position and no facts."""
        since = self._clock.now() / SECOND - FORGET_SECONDS
        (listed,) = await self._commands.read(
            [("ZRANGEBYSCORE", keys.sidecars(project), since, "+inf", "WITHSCORES", "LIMIT", 0, _MOST)]
        )
        if isinstance(listed, Exception):
            return []
        names = [name.decode(errors="replace") for name in listed[::2]]
        said = await self._commands.read([("GET", keys.sidecar(project, name)) for name in names])
        return [
            Presence(name, float(score), _position(facts), facts or {})
            for name, score, facts in zip(names, listed[1::2], map(_facts, said), strict=True)
        ]

    async def forget_old(self, project: ProjectId) -> None:
        """Drop those that were not seen for a day."""
        until = self._clock.now() / SECOND - FORGET_SECONDS
        await self._commands.write([("ZREMRANGEBYSCORE", keys.sidecars(project), "-inf", until)])


def _facts(said: Any) -> Mapping[str, Any] | None:
    if not isinstance(said, bytes):
        return None
    try:
        facts = orjson.loads(said)
    except orjson.JSONDecodeError:
        return None
    return facts if isinstance(facts, dict) else None


def _position(facts: Mapping[str, Any] | None) -> Position | None:
    epoch, revision = (facts or {}).get("epoch"), (facts or {}).get("revision")
    return Position(epoch, revision) if type(epoch) is int and type(revision) is int else None
