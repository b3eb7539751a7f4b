"""A project in a real database, changed the way the writer changes it: whole revisions through the outbox."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.catalogue import Feature, Kind
from common.clock import Instant, SystemClock
from common.document import Entitlement
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from common.settings import Secret
from writer import outbox
from writer.db.engine import create_engine
from writer.documents import Documents
from writer.domain.catalogue import Definition
from writer.outbox import Cause, Revision, UserChange
from writer.recompute import UserKey, lock_users
from writer.settings import DatabaseSettings

CLOCK = SystemClock()


def open_engine(database_url: str, *, pool_size: int = 10) -> AsyncEngine:
    """The writer's own engine on a test's database. Dispose of it."""
    return create_engine(DatabaseSettings(Secret(database_url), None, pool_size, 30, 10, 30))


class Untouched:
    """A lineage that nobody restores."""

    async def check(self) -> None:
        """Find nothing."""

    async def stands_on(self, connection: AsyncConnection) -> bool:
        """It always does."""
        return True


class Ledger:
    """One project; each call commits its own transaction."""

    def __init__(self, engine: AsyncEngine, project_id: int, project: ProjectId) -> None:
        self.engine = engine
        self.project_id = project_id
        self.project = project

    @classmethod
    async def open(cls, engine: AsyncEngine, project: str = "shop", epoch: int | None = None) -> "Ledger":
        """A new project without catalogue or users."""
        async with engine.begin() as connection:
            row = await connection.execute(_ADD_PROJECT, {"project": project, "epoch": epoch})
            return cls(engine, row.scalar_one(), ProjectId(project))

    async def change(self, user: str, *rows: Entitlement) -> Revision:
        """One revision: the user holds `rows`."""
        (revision,) = await self.change_many({user: rows})
        return revision

    async def change_many(self, users: dict[str, Iterable[Entitlement]]) -> list[Revision]:
        """A revision for each user, in one transaction."""
        async with self.engine.begin() as connection:
            return await append(connection, self.project_id, users, CLOCK.now())

    async def edit(self, *codes: str) -> None:
        """One revision: a catalogue with these plain features."""
        async with self.engine.begin() as connection:
            await append_features(connection, self.project_id, codes, CLOCK.now())

    async def head(self) -> Position:
        """The newest committed position."""
        (row,) = await self.query("SELECT epoch, revision FROM projects WHERE id = :id", id=self.project_id)
        return Position(row.epoch, row.revision)

    async def query(self, statement: str, **parameters: Any) -> list[Any]:
        """Rows of any statement."""
        async with self.engine.begin() as connection:
            result = await connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []


async def append(
    connection: AsyncConnection, project_id: int, users: dict[str, Iterable[Entitlement]], now: Instant
) -> list[Revision]:
    """A revision for each user, in the connection's transaction."""
    refs = await lock_users(connection, [UserKey(project_id, UserId(user)) for user in users])
    found = await connection.execute(_DIGESTS, {"refs": list(refs.values())})
    digests = {row.user_ref: int.from_bytes(row.digest, "big") for row in found}
    version = (await connection.execute(_VERSION, {"id": project_id})).scalar_one()
    changes = [
        UserChange(project_id, ref, key.user_id, tuple(users[key.user_id]), version, digests.get(ref, 0))
        for key, ref in refs.items()
    ]
    return await outbox.append_users(connection, changes, Cause("test"), now)


async def renew(connection: AsyncConnection, documents: Documents, key: UserKey, now: Instant) -> None:
    """A revision that says what the user's last one said, in the connection's transaction."""
    await lock_users(connection, [key])
    held = await documents.held(key.project_id, key.user_id)
    await append(connection, key.project_id, {key.user_id: held.document.entitlements}, now)


async def append_features(connection: AsyncConnection, project_id: int, codes: Iterable[str], now: Instant) -> None:
    """One revision, in the connection's transaction: a catalogue with these plain features."""
    features = {FeatureCode(code): Feature(FeatureCode(code), Kind.PLAIN) for code in codes}
    version = (await connection.execute(_VERSION, {"id": project_id})).scalar_one() + 1
    await outbox.append_catalogue(connection, project_id, Definition(version, features), actor="test", now=now)


_ADD_PROJECT = text("""
INSERT INTO projects (public_id, name, epoch, home_oid)
VALUES (:project, :project, coalesce(CAST(:epoch AS bigint), extract(epoch FROM now())::bigint), 'projects'::regclass)
RETURNING id
""")
_DIGESTS = text("SELECT user_ref, digest FROM documents WHERE user_ref = ANY(:refs)")
_VERSION = text("SELECT catalog_version FROM projects WHERE id = :id")
