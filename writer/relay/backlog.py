"""What of the outbox a reader has not seen yet, and where the project's head is: what the relay and `changes` read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import Instant
from common.document import Document
from common.identifiers import ProjectId
from common.position import Position
from common.wire import CatalogChanged, Change, UserChanged
from writer import outbox
from writer.db.direct import Statement
from writer.outbox import OutboxEntry
from writer.relay.heads import Head, Standing, head_of


@dataclass(frozen=True, slots=True)
class Page:
    """Entries after a position, in order, and the head: never older than the entries."""

    head: Head
    entries: Sequence[OutboxEntry]


@dataclass(frozen=True, slots=True)
class Start:
    """Where relaying begins."""

    position: Position
    standing: Standing | None
    """What is true there; None where nothing says so any more."""
    logged: bool
    """Whether revisions of this epoch up to there exist, so that a change log is expected."""


class Backlog:
    """Reads the outbox."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def page(self, project_id: int, after: Position, limit: int) -> Page:
        """At most `limit` entries of `after`'s epoch; none though the head is beyond it: they were trimmed.

        The head may be of a newer epoch.
        """
        parameters = {"project_id": project_id, "epoch": after.epoch, "after": after.revision, "limit": limit}
        rows = await _PAGE.run_alone(self._engine, parameters)
        first = rows[0]
        digest = int.from_bytes(first.head_digest, "big")
        standing = Standing(Position(first.head_epoch, first.head_revision), first.head_count, digest)
        head = Head(project_id, ProjectId(first.public_id), standing)
        return Page(head, [outbox.entry(row) for row in rows if row.revision is not None])

    async def start(self, project_id: int, cursor: Position) -> Start:
        """Where to go on from `cursor`: there, or where the project's present epoch begins."""
        (row,) = await _START.run_alone(self._engine, {"project_id": project_id, **cursor._asdict()})
        head = head_of(row)
        position = cursor
        if cursor.epoch != head.position.epoch or cursor > head.position:
            before = head.position.revision if row.first is None else row.first - 1
            position = Position(head.position.epoch, before)
        standing = None
        if position == head.position:
            standing = head.standing
        elif row.cursor_digest is not None:
            standing = Standing(position, row.cursor_count, int.from_bytes(row.cursor_digest, "big"))
        return Start(position, standing, row.first is not None and row.first <= position.revision)

    async def tail(self, project_id: int, until: Position, count: int) -> Sequence[OutboxEntry]:
        """The last `count` entries of `until`'s epoch up to `until`, in order: what mends a lost change log."""
        after = Position(until.epoch, max(0, until.revision - count))
        async with self._engine.connect() as connection:
            entries = await outbox.read(connection, project_id, after, count)
        return [entry for entry in entries if entry.position <= until]


def as_message(entry: OutboxEntry, now: Instant) -> Change:
    """The entry as it is told to sidecars."""
    if isinstance(entry.body, Document):
        return UserChanged(entry.body, now, entry.received_at, entry.trail)
    return CatalogChanged(entry.body, now)


# Head and entries in one snapshot, and one round trip: every change that is told passes here.
_PAGE: Final = Statement(f"""
SELECT p.public_id, p.epoch AS head_epoch, p.revision AS head_revision, p.user_count AS head_count,
    p.digest AS head_digest, e.*
FROM projects p LEFT JOIN LATERAL ({outbox.ENTRIES}) e ON true
WHERE p.id = :project_id ORDER BY e.revision
""")  # noqa: S608 - our own constant

_START: Final = Statement("""
SELECT p.id, p.public_id, p.epoch, p.revision, p.user_count, p.digest,
    (SELECT min(o.revision) FROM outbox o WHERE o.project_id = p.id AND o.epoch = p.epoch) AS first,
    c.user_count AS cursor_count, c.digest AS cursor_digest
FROM projects p
LEFT JOIN outbox c ON c.project_id = p.id AND c.epoch = p.epoch AND c.epoch = :epoch AND c.revision = :revision
WHERE p.id = :project_id
""")
