"""Redis as refill, repair and inspection see it: what it holds of a project, and whole documents written anew."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from common import catalogue as catalogues
from common import document as documents
from common import keys, wire
from common.catalogue import Catalogue
from common.clock import Instant
from common.document import Document, DocumentError
from common.identifiers import IdentifierError, ProjectId, UserId, user_id
from common.position import Position
from common.wire import Change
from writer.cache import scripts
from writer.cache.commands import RedisCommands, script
from writer.cache.redis_cache import expiry, log_entry, newest_held, write_catalogue, write_document
from writer.cache.scripts import Mode
from writer.lineage import LAST_EPOCH
from writer.relay.heads import Standing
from writer.relay.project_snapshot import StoredDocument

_SCAN: Final = 500
_LOG_ENTRIES_AT_A_TIME: Final = 200
_OLD_LOG_SECONDS: Final = 3_600
"""How long the change log of an epoch that ended stays for those who still read it."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What Redis says that it holds of a project."""

    position: Position | None
    """None: it says nothing, or nothing readable."""
    token: str | None
    """Of a refill that has not ended."""
    users: bool
    catalogue: bool
    log: bool


class CacheCopy:
    """Reads and rewrites one Redis's copy of projects. Every method raises CacheFaultError."""

    def __init__(self, commands: RedisCommands, ttl: float | None) -> None:
        self._commands = commands
        self._ttl = ttl

    async def holding(self, project: ProjectId, epoch: int) -> Holding:
        """What is there, with the change log of `epoch`."""
        meta, users, catalogue, log = await self._commands.read(
            [
                ("HMGET", keys.meta(project), "epoch", "revision", "token"),
                ("EXISTS", keys.users(project)),
                ("EXISTS", keys.catalog(project)),
                ("EXISTS", keys.changes(epoch, project)),
            ]
        )
        if isinstance(meta, Exception):
            meta = [None, None, None]
        token = None if meta[2] is None else meta[2].decode(errors="replace")
        return Holding(_position(meta[0], meta[1]), token, bool(users), bool(catalogue), bool(log))

    async def standing(self, project: ProjectId) -> Standing | None:
        """Where Redis says that it stands, with its count and digest; None where it says nothing readable."""
        (fields,) = await self._commands.read([("HMGET", keys.meta(project), "epoch", "revision", "count", "digest")])
        try:
            epoch, revision, count, digest = fields
            return Standing(Position(int(epoch), int(revision)), int(count), wire.parse_digest(digest.decode()))
        except (TypeError, ValueError, AttributeError):  # an error instead of fields, fields that are not there
            return None

    async def catalogue(self, project: ProjectId) -> bytes | None:
        """The catalogue as it stands there; None where there is none."""
        (data,) = await self._commands.read([("GET", keys.catalog(project))])
        return data if isinstance(data, bytes) else None

    async def begin_refill(self, project: ProjectId, token: str) -> None:
        """Say that Redis holds nothing until the refill `token` ends, and clear away what is of a wrong type."""
        await self._commands.write([script(scripts.BEGIN_REFILL, keys.meta(project), token)])
        await self._clear_other_type(keys.users(project), "set")

    async def end_refill(self, project: ProjectId, token: str, standing: Standing) -> bool:
        """Say that Redis holds `standing`; False where it was emptied, or refilled by another, since `token` began."""
        digest = wire.format_digest(standing.digest)
        (ended,) = await self._commands.write(
            [script(scripts.END_REFILL, keys.meta(project), token, *standing.position, standing.count, digest)]
        )
        return bool(ended)

    async def write_catalogue(self, project: ProjectId, catalogue: Catalogue) -> Position | None:
        """Write it unless a newer one is held, whose position is the answer then."""
        command = write_catalogue(project, catalogues.encode(catalogue), catalogue.position, Mode.REPAIR)
        return newest_held(await self._commands.write([command]))

    async def write_documents(self, project: ProjectId, stored: Sequence[StoredDocument]) -> Position | None:
        """Write them over older, equal, unreadable or missing ones; the newest position that was held beyond them.

        An empty one that has had its day is not written where there is none: nobody needs it.
        """
        commands = []
        for row in stored:
            old = row.is_empty and row.age > keys.EMPTY_DOCUMENT_SECONDS
            seconds = expiry(self._ttl, is_empty=row.is_empty)
            mode = Mode.REPLACE if old else Mode.REPAIR
            commands.append(write_document(project, row.user_id, row.data, row.position, seconds, mode))
        replies = await self._commands.write(commands)
        await self._list(project, [row.user_id for row in stored if not row.is_empty])
        return newest_held(replies)

    async def retire(self, project: ProjectId, users: Sequence[UserId], at: Position, now: Instant) -> Position | None:
        """Write empty documents over what is held of users whom nobody knows; the newest position held beyond `at`."""
        blanks = [Document(user, project, *at, now, ()) for user in users]
        seconds = expiry(self._ttl, is_empty=True)
        commands = [
            write_document(project, blank.user_id, documents.encode(blank), at, seconds, Mode.REPLACE)
            for blank in blanks
        ]
        return newest_held(await self._commands.write(commands))

    async def listed(self, project: ProjectId, cursor: int) -> tuple[int, list[UserId]]:
        """The next users that Redis lists, some maybe twice, and the cursor to go on from; 0 at both ends."""
        (reply,) = await self._commands.read([("SSCAN", keys.users(project), cursor, "COUNT", _SCAN)])
        following, members = reply
        return int(following), [user for member in members if (user := _user(member)) is not None]

    async def users(self, project: ProjectId) -> AsyncIterator[list[UserId]]:
        """All of these, in chunks."""
        cursor = 0
        while True:
            cursor, users = await self.listed(project, cursor)
            yield users
            if not cursor:
                return

    async def documents(self, project: ProjectId, users: Sequence[UserId]) -> Mapping[UserId, Document | None]:
        """The users' documents as Redis holds them; None for a missing or unreadable one."""
        replies = await self._commands.read([("GET", keys.document(user, project)) for user in users])
        return {user: _document(reply) for user, reply in zip(users, replies, strict=True)}

    async def renew(self, project: ProjectId, users: Sequence[UserId]) -> None:
        """Let the users' documents live for another whole `ttl`, and stand in the users set."""
        await self._list(project, users)
        if self._ttl is not None:
            await self._commands.write([("EXPIRE", keys.document(u, project), round(self._ttl)) for u in users])

    async def unlist(self, project: ProjectId, users: Sequence[UserId]) -> None:
        """Take users without entitlements out of the users set; who has come back meanwhile is put in again."""
        await self._commands.write([("SREM", keys.users(project), *users)])
        held = await self.documents(project, users)
        await self._list(project, [user for user, document in held.items() if document and document.entitlements])

    async def log_bounds(self, project: ProjectId, epoch: int) -> tuple[int, int, int]:
        """First and last revision in the epoch's change log, and how many entries it has; zeros where it is empty."""
        log = keys.changes(epoch, project)
        await self._clear_other_type(log, "stream")
        first, last, length = await self._commands.read(
            [("XRANGE", log, "-", "+", "COUNT", 1), ("XREVRANGE", log, "+", "-", "COUNT", 1), ("XLEN", log)]
        )
        return (_revision(first), _revision(last), int(length)) if first and last else (0, 0, 0)

    async def rewrite_log(self, project: ProjectId, epoch: int, messages: Sequence[Change]) -> None:
        """Make the epoch's change log anew from `messages`, which are in order."""
        log = keys.changes(epoch, project)
        await self._commands.write([("DEL", log)])
        for first in range(0, len(messages), _LOG_ENTRIES_AT_A_TIME):
            part = messages[first : first + _LOG_ENTRIES_AT_A_TIME]
            await self._commands.write([log_entry(project, message.position, wire.encode(message)) for message in part])

    async def expire_log(self, project: ProjectId, epoch: int) -> None:
        """Let the change log of an epoch that ended go."""
        await self._commands.write([("EXPIRE", keys.changes(epoch, project), _OLD_LOG_SECONDS)])

    async def _list(self, project: ProjectId, users: Sequence[UserId]) -> None:
        if users:
            await self._commands.write([("SADD", keys.users(project), *users)])

    async def _clear_other_type(self, key: str, expected: str) -> None:
        (found,) = await self._commands.read([("TYPE", key)])
        if found.decode() not in {"none", expected}:
            await self._commands.write([("DEL", key)])


def _user(member: bytes) -> UserId | None:
    try:
        return user_id(member.decode())
    except (IdentifierError, UnicodeDecodeError):
        return None  # not written by us


def _document(reply: Any) -> Document | None:
    if not isinstance(reply, bytes):
        return None
    try:
        return documents.decode(reply)
    except DocumentError:
        return None


def _position(epoch: bytes | None, revision: bytes | None) -> Position | None:
    try:
        position = Position(int(epoch or b""), int(revision or b""))
    except ValueError:
        return None
    return position if position.epoch <= LAST_EPOCH else None


def _revision(entries: list[Any]) -> int:
    (entry_id, _), *_ = entries
    return int(entry_id.partition(b"-")[0])
