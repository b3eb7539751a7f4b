"""A backup put in force: loaded into an empty database, or beside a full one, whose name it then takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
from prometheus_client import CollectorRegistry
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import SystemClock
from common.settings import Secret
from writer.backup import loading, scratch
from writer.backup.errors import BackupError
from writer.backup.loading import Dump
from writer.backup.manifest import Manifest
from writer.backup.scratch import Server, quoted
from writer.health import known_migrations
from writer.lineage import LineageKeeper
from writer.relay.metrics import RelayMetrics
from writer.settings import DatabaseSettings

APPLICATION: Final = "billing-restore"
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it."""

    database: str
    kept_as: str | None
    """What the database that was there is called now; None: it was empty, and is this one."""
    projects: int
    """How many began a new epoch."""


@dataclass(frozen=True, slots=True)
class Target:
    """The database that is to hold what was dumped."""

    settings: DatabaseSettings

    @property
    def url(self) -> Secret:
        """Where it is."""
        return self.settings.url

    @property
    def name(self) -> str:
        """What it is called."""
        return make_url(self.url.reveal()).database or "postgres"


async def restore(dump: Dump, target: Target, *, replace: bool) -> Restored:
    """Load it, compare it, and begin new epochs. Refuses while writers are connected, and over a full database."""
    async with scratch.server(target.url, application_name=APPLICATION) as server:
        await refuse_beside_writers(server, target.name)
        if replace:
            return await _beside(dump, target, server)
        async with loading.engine_of(target.settings, target.url, APPLICATION) as engine:
            await _refuse_over_something(engine, target.name)
            if await loading.loads_at_once(dump, engine):
                await loading.load(dump, target.url, engine, at_once=True)
                await loading.compare(dump, engine)
                return Restored(target.name, None, await begin_epochs(engine))
        restored = await _beside(dump, target, server)
        if restored.kept_as is not None:
            await server.drop(restored.kept_as)  # it was empty
    return replaced(restored, kept_as=None)


async def refuse_beside_writers(server: Server, database: str) -> None:
    """BackupError that names the writers and commands that work on the database."""
    if not await server.connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database):
        raise BackupError(f"there is no database {database} at that server: make an empty one (createdb {database})")
    rows = await server.connection.fetch(_OURS, database)
    if rows:
        raise BackupError(f"{database} is in use: stop these first", *_told(rows))


def refuse_newer(manifest: Manifest) -> None:
    """BackupError where a newer release made it: this one could not work with what is in it."""
    revision = manifest.contents.schema_revision
    if revision is not None and revision not in known_migrations():
        raise BackupError(f"{manifest.file} has the schema {revision}, of a newer release: restore it with that one")


def needs_migration(manifest: Manifest) -> bool:
    """Whether it has to be brought to this release's schema."""
    return manifest.contents.schema_revision != known_migrations()[0]


async def _beside(dump: Dump, target: Target, server: Server) -> Restored:
    """Fill another database, and let it take the name in one transaction. Until then nothing has changed."""
    swapped = False
    async with scratch.database(server, scratch.RESTORING, keep=lambda: swapped) as name:
        url = server.url_of(name)
        async with loading.engine_of(target.settings, url, APPLICATION) as engine:
            await loading.load(dump, url, engine)
            await loading.compare(dump, engine)
            risen = await begin_epochs(engine)
        await refuse_beside_writers(server, target.name)
        kept_as = f"{target.name[:40]}_before_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        await _swap(server, target.name, name, kept_as)
        swapped = True
    return Restored(target.name, kept_as, risen)


async def _swap(server: Server, current: str, new: str, kept_as: str) -> None:
    connection = server.connection
    await server.send_away(current)
    try:
        async with connection.transaction():
            for row in await connection.fetch(_SETTINGS, current):
                await _carry_over(connection, new, row)
            await connection.execute(f"ALTER DATABASE {quoted(current)} RENAME TO {quoted(kept_as)}")
            await connection.execute(f"ALTER DATABASE {quoted(new)} RENAME TO {quoted(current)}")
    except asyncpg.ObjectInUseError as error:
        rows = await connection.fetch(_ANYBODY, [current, new])
        raise BackupError(f"{current} was not replaced: others are connected to it", *_told(rows)) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise BackupError(f"{current} was not replaced: {error}") from error


async def _carry_over(connection: Any, database: str, row: Any) -> None:
    """Limits and the like that stand on the database, or on a role within it: they would stay with the old one."""
    name, _, value = row["setting"].partition("=")
    await connection.execute("SELECT set_config($1, $2, true)", name, value)
    whose = "DATABASE" if row["role"] is None else f"ROLE {quoted(row['role'])} IN DATABASE"
    await connection.execute(f"ALTER {whose} {quoted(database)} SET {quoted(name)} FROM CURRENT")


async def begin_epochs(engine: AsyncEngine) -> int:
    """Let every project begin a new epoch, as a writer would at its start; how many did."""
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        before = {row.id: row.epoch for row in await connection.execute(_EPOCHS)}
        await LineageKeeper(engine, RelayMetrics(CollectorRegistry()), _nobody, SystemClock()).check()
        after = {row.id: row.epoch for row in await connection.execute(_EPOCHS)}
    return sum(after[one] > epoch for one, epoch in before.items())


async def _refuse_over_something(engine: AsyncEngine, name: str) -> None:
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        there = (await connection.execute(_OBJECTS)).scalars().all()
    if there:
        more = [f"and {len(there) - _SHOWN} more"] if len(there) > _SHOWN else []
        raise BackupError(
            f"{name} is not empty: --replace loads into another database and lets it take the name, and keeps this one",
            *there[:_SHOWN],
            *more,
        )


def _told(rows: Sequence[Any]) -> list[str]:
    return [
        f"{row['name'] or 'a session'} of {row['role']} at {row['address'] or 'this machine'}, "
        f"connections: {row['count']}"
        for row in rows
    ]


def _nobody() -> None:
    pass


_OURS: Final = """
SELECT application_name AS name, usename::text AS role, host(client_addr) AS address, count(*) FROM pg_stat_activity
WHERE datname = $1 AND application_name LIKE 'billing-%' AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 20
"""
_ANYBODY: Final = """
SELECT application_name AS name, usename::text AS role, host(client_addr) AS address, count(*) FROM pg_stat_activity
WHERE datname = ANY($1::text[]) AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 20
"""
_SETTINGS: Final = """
SELECT r.rolname::text AS role, unnest(s.setconfig) AS setting
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE d.datname = $1
"""
_EPOCHS: Final = text("SELECT id, epoch FROM projects")
_OBJECTS: Final = text("""
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY c.relkind = 'S', 1
""")
