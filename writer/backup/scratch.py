"""Databases made for a while: for checking a backup, and for filling one before it takes another's place."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from typing import Any, Final

import asyncpg
from sqlalchemy import make_url

from common.settings import Secret
from writer.backup.errors import BackupError
from writer.db.url import asyncpg_dsn

_log = logging.getLogger(__name__)

VERIFYING: Final = "billing_verify"
RESTORING: Final = "billing_restoring"
_MAINTENANCE: Final = ("postgres", "template1")
"""Databases that every server has: one connects to them to make and drop others, as createdb does."""
_CONNECT_SECONDS: Final = 10.0
_NO_DATABASE: Final = (asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError)
_ATTEMPTS: Final = 20
_PAUSE_SECONDS: Final = 0.1


class Server:
    """The Postgres that `url` names, by a connection to its maintenance database."""

    def __init__(self, url: Secret, connection: asyncpg.Connection) -> None:
        self._url = url
        self.connection: Any = connection

    def url_of(self, database: str) -> Secret:
        """Another database of it."""
        return database_of(self._url, database)

    async def create(self, prefix: str) -> str:
        """Make an empty database; its name. Nobody but us takes it for a leftover while this connection lasts."""
        name = f"{prefix}_{token_hex(4)}"
        await self.connection.execute("SELECT pg_advisory_lock(hashtext($1))", name)
        try:
            await self.connection.execute(f"CREATE DATABASE {quoted(name)} TEMPLATE template0 ENCODING 'UTF8'")
        except asyncpg.InsufficientPrivilegeError as error:
            role = make_url(self._url.reveal()).username
            raise BackupError(
                f"the role {role} may not create databases at that server: ALTER ROLE {role} CREATEDB, "
                "or name another server (--scratch-url)"
            ) from error
        return name

    async def drop(self, name: str) -> None:
        """Drop it, whoever is still connected to it."""
        for attempt in range(1, _ATTEMPTS + 1):
            await self.send_away(name)
            try:
                # Not WITH (FORCE): that is refused while a worker of the superuser's, such as autovacuum, is in it.
                await self.connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")
            except asyncpg.ObjectInUseError:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def send_away(self, name: str) -> None:
        """End the sessions of our own role there."""
        await self.connection.execute(_SEND_AWAY, name)

    async def drop_leftovers(self, prefix: str) -> None:
        """Drop what a killed run has left: databases of that name whose maker is gone."""
        for row in await self.connection.fetch(_LEFTOVERS, f"^{prefix}_[0-9a-f]{{8}}$"):
            name = row["datname"]
            if await self.connection.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", name):
                try:
                    await self.drop(name)
                    _log.warning("dropped the database %s, which a killed run has left", name)
                finally:
                    await self.connection.execute("SELECT pg_advisory_unlock(hashtext($1))", name)


@asynccontextmanager
async def server(url: Secret, *, application_name: str) -> AsyncIterator[Server]:
    """The server that `url` names, until the block ends."""
    connection = await _connected(url, application_name)
    try:
        yield Server(url, connection)
    finally:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await connection.close(timeout=_CONNECT_SECONDS)


@asynccontextmanager
async def database(at: Server, prefix: str, *, keep: Callable[[], bool] = lambda: False) -> AsyncIterator[str]:
    """An empty database, dropped when the block ends, also by a signal, unless `keep` says so. Leftovers go first."""
    await at.drop_leftovers(prefix)
    name = await at.create(prefix)
    try:
        yield name
    finally:
        if not keep():
            await _undisturbed(at.drop(name))


async def _undisturbed(work: Awaitable[None]) -> None:
    """Wait for it, although we were told to end."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()


def database_of(url: Secret, name: str) -> Secret:
    """The same server, another database."""
    return Secret(make_url(url.reveal()).set(database=name).render_as_string(hide_password=False))


def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


async def _connected(url: Secret, application_name: str) -> Any:
    refused: Exception | None = None
    for name in _MAINTENANCE:
        try:
            return await asyncpg.connect(
                asyncpg_dsn(database_of(url, name).reveal()),
                timeout=_CONNECT_SECONDS,
                server_settings={"application_name": application_name, "statement_timeout": "0", "lock_timeout": "0"},
            )
        except _NO_DATABASE as error:
            refused = error
    raise BackupError(f"neither of the databases {' and '.join(_MAINTENANCE)} lets us in: {refused}") from refused


_SEND_AWAY: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = $1 AND usename = current_user AND pid <> pg_backend_pid()
"""
_LEFTOVERS: Final = "SELECT datname::text FROM pg_database WHERE datname ~ $1 AND NOT datistemplate"
