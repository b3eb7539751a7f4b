"""Statements straight on the driver: what runs with every event goes past SQLAlchemy's compiling, contexts and cursors.

Pool, connections and JSON codecs are the engine's; faults are raised as SQLAlchemy raises them, so that callers need
not know which way a statement went. What runs seldom stays with SQLAlchemy; both may share a transaction.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z]\w*)")

_FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

_CLASSES: Final[tuple[tuple[type[Exception], type[DBAPIError]], ...]] = (
    (asyncpg.IntegrityConstraintViolationError, IntegrityError),
    (asyncpg.DataError, DataError),
    (asyncpg.SyntaxOrAccessError, ProgrammingError),
    (asyncpg.InternalServerError, InternalError),
    (asyncpg.InterfaceError, InterfaceError),
)

_ANYTHING: Final = text("SELECT 1")


class Row(asyncpg.Record):  # type: ignore[misc]  # asyncpg ships no types
    """A row whose columns are attributes; JSON is read, times are aware."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Statement:
    """SQL with named parameters (`:name`), one SQL type each. JSON is given as text, cast to it."""

    def __init__(self, sql: str) -> None:
        self.sql: Final = sql
        names: dict[str, int] = {}
        self._numbered = _PARAMETER.sub(lambda found: f"${names.setdefault(found[1], len(names) + 1)}", sql)
        self._names = tuple(names)

    async def run(self, connection: AsyncConnection, parameters: Mapping[str, object]) -> list[Row]:
        """Run it in the connection's transaction. Raises DBAPIError as `connection.execute` does, and OSError."""
        driver = await _driver(connection)
        async with _sqlalchemys_faults(connection, driver):
            return await self._fetch(driver, parameters)

    async def run_alone(self, engine: AsyncEngine, parameters: Mapping[str, object]) -> list[Row]:
        """Run it on a connection of the pool, as a transaction of its own. Raises as `run` does."""
        try:
            proxied = await engine.raw_connection()
        except engine.dialect.loaded_dbapi.Error as error:
            raise DBAPIError(None, None, error, hide_parameters=True) from error
        driver: Any = proxied.driver_connection
        try:
            return await self._fetch(driver, parameters)
        except _FAULTS as error:
            raise _named(error, lost=_is_lost(driver, error)) from error
        finally:
            proxied.close()
            if driver.is_closed():
                await _tell_of_the_lost(engine)

    async def _fetch(self, driver: Any, parameters: Mapping[str, object]) -> list[Row]:
        rows: list[Row] = await driver.fetch(
            self._numbered, *[parameters[name] for name in self._names], record_class=Row
        )
        return rows


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection to `begin` a transaction in; one that is open in the end is rolled back. `engine`: AUTOCOMMIT."""
    async with engine.connect() as connection:
        driver = await _driver(connection)
        try:
            yield connection
        finally:
            if not driver.is_closed() and driver.is_in_transaction():
                await _roll_back(driver)


async def begin(connection: AsyncConnection) -> None:
    """Begin a transaction: what runs on the connection from here on, either way, is part of it. Raises as `run`."""
    await _command(connection, "BEGIN")


async def commit(connection: AsyncConnection) -> None:
    """Commit it. Raises as `run`; then the outcome is unknown."""
    await _command(connection, "COMMIT")


async def _command(connection: AsyncConnection, command: str) -> None:
    driver = await _driver(connection)
    async with _sqlalchemys_faults(connection, driver):
        await driver.execute(command)


async def _roll_back(driver: Any) -> None:
    try:
        await driver.execute("ROLLBACK")
    except BaseException as error:
        driver.terminate()  # nobody may be given a connection in which another's transaction is open
        if not isinstance(error, (*_FAULTS, OSError)):
            raise


async def _driver(connection: AsyncConnection) -> Any:
    sync = connection.sync_connection
    if sync is None:
        raise AssertionError("the connection was not opened")
    proxied: Any = sync.connection
    driver = proxied.driver_connection
    if not proxied.dbapi_connection.autocommit and not driver.is_in_transaction():
        await connection.execute(_ANYTHING)  # SQLAlchemy begins a transaction with its own first statement only
    return driver


@asynccontextmanager
async def _sqlalchemys_faults(connection: AsyncConnection, driver: Any) -> AsyncIterator[None]:
    try:
        yield
    except (*_FAULTS, OSError) as error:
        lost = _is_lost(driver, error)
        if lost:
            with suppress(DBAPIError, OSError):
                await connection.execute(_ANYTHING)  # SQLAlchemy meets it, and gives up the pool's others too
        if isinstance(error, OSError):
            raise
        raise _named(error, lost=lost) from error


def _is_lost(driver: Any, error: Exception) -> bool:
    """Whether the connection is of no more use; then it is closed."""
    if isinstance(error, asyncpg.InternalClientError):
        driver.terminate()  # the server has taken leave while nothing ran, and that it hung up was not seen yet
    closed: bool = driver.is_closed()
    return closed


async def _tell_of_the_lost(engine: AsyncEngine) -> None:
    """Have SQLAlchemy meet the connection, which was put back last and is taken first: it gives up the others too."""
    with suppress(SQLAlchemyError, OSError):
        async with engine.connect() as connection:
            await connection.execute(_ANYTHING)


def _named(error: Exception, *, lost: bool) -> DBAPIError:
    """The fault by SQLAlchemy's name; `orig` has the driver's `sqlstate`."""
    known = next((ours for theirs, ours in _CLASSES if isinstance(error, theirs)), DBAPIError)
    return known(None, None, error, hide_parameters=True, connection_invalidated=lost)
