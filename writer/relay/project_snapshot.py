"""A whole project as it stands in Postgres at one (epoch, revision), read in chunks."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.catalogue import Catalogue
from common.clock import Instant, format_time
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.transfer import SnapshotHead
from writer.recompute import load_definition

CHUNK: Final = 1_000
"""Documents read at a time."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """One user's document as Postgres holds it. `data` is its public JSON."""

    user_ref: int
    user_id: UserId
    position: Position
    digest: int
    is_empty: bool
    age: float
    """Seconds since it was computed, by the database's clock."""
    data: bytes


class ProjectSnapshot:
    """An open snapshot: everything read from it stands at `head.position`."""

    def __init__(self, connection: AsyncConnection, project_id: int, head: SnapshotHead) -> None:
        self.head = head
        self._connection = connection
        self._project_id = project_id

    async def documents(self, *, with_empty: bool) -> AsyncIterator[list[StoredDocument]]:
        """All documents in chunks; empty ones too if asked for."""
        result = await self._connection.stream(
            _ALL if with_empty else _NON_EMPTY,
            {"project_id": self._project_id},
            execution_options={"yield_per": CHUNK},
        )
        async for rows in result.partitions(CHUNK):
            yield [_stored(row, self.head) for row in rows]

    async def after(self, user_ref: int, limit: int) -> list[StoredDocument]:
        """The documents that follow `user_ref` in order of users.id: for a walk in several transactions."""
        return await self._read(_AFTER, {"after": user_ref, "limit": limit})

    async def of(self, users: Collection[UserId]) -> list[StoredDocument]:
        """The documents of these users, as far as there are any."""
        return await self._read(_OF, {"users": list(users)})

    async def _read(self, statement: TextClause, parameters: dict[str, Any]) -> list[StoredDocument]:
        rows = await self._connection.execute(statement, {"project_id": self._project_id, **parameters})
        return [_stored(row, self.head) for row in rows]


class ProjectSnapshots:
    """Opens snapshots on the primary."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")

    @asynccontextmanager
    async def open(self, project_id: int) -> AsyncIterator[ProjectSnapshot]:
        """A snapshot of the project, on a connection of its own until the block ends."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_HEAD, {"project_id": project_id})).one()
            project = ProjectId(row.public_id)
            definition = await load_definition(connection, project_id, row.catalog_version)
            # A version keeps its revision in a new epoch, as documents do.
            catalogue = Catalogue(
                project,
                row.epoch,
                row.catalog_revision,
                row.catalog_version,
                definition.answered,
                definition.unlocked_by(),
            )
            position = Position(row.epoch, row.revision)
            head = SnapshotHead(project, position, row.user_count, int.from_bytes(row.digest, "big"), catalogue)
            yield ProjectSnapshot(connection, project_id, head)


def _stored(row: Any, head: SnapshotHead) -> StoredDocument:
    epoch = head.position.epoch
    public = {
        "user_id": row.user_id,
        "project_id": head.project_id,
        "epoch": epoch,
        "revision": row.revision,
        "computed_at": format_time(Instant(row.computed_us)),
        "entitlements": orjson.Fragment(row.body),
    }
    return StoredDocument(
        row.user_ref,
        UserId(row.user_id),
        Position(epoch, row.revision),
        int.from_bytes(row.digest, "big"),
        row.is_empty,
        float(row.age),
        orjson.dumps(public),
    )


_COLUMNS: Final = """
SELECT d.user_ref, d.user_id, d.revision, d.digest, d.is_empty, d.body::text AS body,
    (extract(epoch FROM d.computed_at) * 1000000)::bigint AS computed_us,
    extract(epoch FROM clock_timestamp() - d.computed_at)::float8 AS age
"""
_ALL: Final = text(f"{_COLUMNS} FROM documents d WHERE d.project_id = :project_id")
_NON_EMPTY: Final = text(f"{_COLUMNS} FROM documents d WHERE d.project_id = :project_id AND NOT d.is_empty")
_AFTER: Final = text(
    f"{_COLUMNS} FROM documents d WHERE d.project_id = :project_id AND d.user_ref > :after "
    "ORDER BY d.user_ref LIMIT :limit"
)
# A join, because a list in ANY is searched from end to end for every row under a plan that is made once.
_OF: Final = text(
    f"{_COLUMNS} FROM unnest(CAST(:users AS text[])) AS w(user_id) "
    "JOIN users u ON u.project_id = :project_id AND u.user_id = w.user_id JOIN documents d ON d.user_ref = u.id"
)

_HEAD: Final = text("""
SELECT p.public_id, p.epoch, p.revision, p.user_count, p.digest, p.catalog_version,
    coalesce(v.revision, 0) AS catalog_revision
FROM projects p LEFT JOIN catalog_versions v ON v.project_id = p.id AND v.version = p.catalog_version
WHERE p.id = :project_id
""")
