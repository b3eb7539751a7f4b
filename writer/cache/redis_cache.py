"""Redis as the relay writes it: each change in order, conditionally, with every reply looked at."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from common import catalogue as catalogues
from common import document as documents
from common import keys, wire
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.redis_nodes import Command
from common.wire import Change, Heartbeat, UserChanged
from writer.cache import scripts
from writer.cache.commands import WRONG_TYPE, RedisCommands, script
from writer.cache.scripts import Mode
from writer.relay.heads import Standing
from writer.relay.project_relay import Advanced, Published

LOG_LENGTH: Final = 10_000
"""About how many revisions a change log keeps."""


class RedisCache:
    """Documents, users set, change log, channel and meta of projects, at Redis.

    `ttl` is how long a document lives without renewal, in seconds; None: for ever.
    """

    def __init__(self, commands: RedisCommands, ttl: float | None) -> None:
        self._commands = commands
        self._ttl = ttl

    async def publish(self, project: ProjectId, changes: Sequence[Change]) -> Published:
        """For each change in order: document or catalogue, users set, change log, channel."""
        written = [self._written(project, change) for change in changes]
        # Nobody leaves the set here: a late relay would take out who has come back meanwhile.
        users = {c.document.user_id for c in changes if isinstance(c, UserChanged) and c.document.entitlements}
        listed: list[Command] = [("SADD", keys.users(project), *sorted(users))] if users else []
        messages = [(change.position, wire.encode(change)) for change in changes]
        logged = [log_entry(project, position, message) for position, message in messages]
        told: list[Command] = [("PUBLISH", keys.channel(project), message) for _, message in messages]
        replies = await self._commands.write_steps(written, listed, logged, told)
        return Published(newest_held(replies), any(WRONG_TYPE in str(r) for r in replies if isinstance(r, Exception)))

    async def advance(self, project: ProjectId, behind: Position, standing: Standing) -> Advanced:
        """Say that Redis holds `standing`, if it held everything up to `behind`."""
        epoch, revision = standing.position
        digest = wire.format_digest(standing.digest)
        (reply,) = await self._commands.write(
            [script(scripts.ADVANCE, keys.meta(project), epoch, behind.revision, revision, standing.count, digest)]
        )
        return Advanced(reply.decode())

    async def heartbeat(self, project: ProjectId, heartbeat: Heartbeat) -> None:
        """Tell how far the project has come."""
        await self._commands.write([("PUBLISH", keys.channel(project), wire.encode(heartbeat))])

    def _written(self, project: ProjectId, change: Change) -> Command:
        if not isinstance(change, UserChanged):
            return write_catalogue(project, catalogues.encode(change.catalogue), change.position)
        document = change.document
        seconds = expiry(self._ttl, is_empty=not document.entitlements)
        data = documents.encode(document)
        return write_document(project, document.user_id, data, document.position, seconds, Mode.NEWER)


def write_document(
    project: ProjectId, user: UserId, data: bytes, position: Position, seconds: int, mode: Mode
) -> Command:
    """Write a document that lives for `seconds`, 0 for ever."""
    return script(scripts.WRITE, keys.document(user, project), data, *position, seconds, mode.value)


def write_catalogue(project: ProjectId, data: bytes, position: Position, mode: Mode = Mode.NEWER) -> Command:
    """Write a catalogue."""
    return script(scripts.WRITE, keys.catalog(project), data, *position, 0, mode.value)


def log_entry(project: ProjectId, position: Position, message: bytes) -> Command:
    """Add to the change log of the position's epoch."""
    log = keys.changes(position.epoch, project)
    return ("XADD", log, "MAXLEN", "~", LOG_LENGTH, f"{position.revision}-0", keys.STREAM_FIELD, message)


def expiry(ttl: float | None, *, is_empty: bool) -> int:
    """Seconds that a document lives at Redis; 0 for ever."""
    return keys.EMPTY_DOCUMENT_SECONDS if is_empty else round(ttl or 0)


def newest_held(replies: Iterable[Any]) -> Position | None:
    """The newest position that the write script found held beyond what it was to write."""
    held = [Position.parse(r.decode()) for r in replies if isinstance(r, bytes) and b"." in r]
    return max(held, default=None)
