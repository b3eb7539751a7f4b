"""A stand-in for SQLAlchemy's engine and asyncpg's connections, as far as the product uses them, over the network."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self, cast

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.simulation.network import Connection, Network
from tests.simulation.postgres_reads import Row, sql_of
from tests.simulation.postgres_server import AUTOCOMMIT, PostgresServer, Run
from writer import outbox, recompute
from writer.db import direct
from writer.db.direct import Statement
from writer.relay import backlog, heads, lease

_STATEMENTS: dict[str, Statement] = {}


class Driver:
    """asyncpg's connection."""

    def __init__(self, connection: Connection) -> None:
        self.isolation = AUTOCOMMIT
        self.info: dict[str, object] = {}
        self._connection = connection
        self._in_transaction = False
        self._closed = False

    async def fetch(self, numbered: str, *arguments: Any, record_class: object = None) -> list[Row]:
        """Rows of a statement with numbered parameters."""
        statement = _STATEMENTS[numbered]
        return await self.run(sql_of(statement), dict(zip(statement._names, arguments, strict=True)))

    async def run(self, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
        """Rows of a statement; a transaction begins with it unless each is its own."""
        self._in_transaction = self._in_transaction or self.isolation != AUTOCOMMIT
        return await self._ask(Run(sql, parameters, self.isolation))

    async def execute(self, command: str) -> None:
        """BEGIN, COMMIT or ROLLBACK."""
        await self._ask(command)
        self._in_transaction = command == "BEGIN"

    def is_in_transaction(self) -> bool:
        """Whether one is open."""
        return self._in_transaction

    def is_closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._closed

    def terminate(self) -> None:
        """Close it at once."""
        self._closed = True
        self._connection.close()

    async def _ask(self, message: Any) -> list[Row]:
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")
        answered = False
        try:
            self._connection.send(message)
            reply = await self._connection.receive()
            answered = True
        except ConnectionError as error:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation") from error
        finally:
            if not answered:  # also when cancelled: its answer would be taken for the next one's
                self.terminate()
        if isinstance(reply, Exception):
            raise reply
        return cast("list[Row]", reply)


class Result:
    """What a statement answered."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.rowcount = len(rows)
        self.returns_rows = True

    def __iter__(self) -> Any:
        return iter(self._rows)

    def one(self) -> Row:
        """The only row."""
        (row,) = self._rows
        return row

    def scalar_one(self) -> Any:
        """Its only value."""
        return next(iter(self.one().values()))

    def scalar_one_or_none(self) -> Any:
        """Its only value; None without a row."""
        return self.scalar_one() if self._rows else None

    def scalars(self) -> Self:
        """Only the first column."""
        return self

    def all(self) -> list[Any]:
        """The first column's values."""
        return [next(iter(row.values())) for row in self._rows]

    async def partitions(self, size: int) -> AsyncIterator[Sequence[Row]]:
        """Some rows at a time."""
        for first in range(0, len(self._rows), size):
            yield self._rows[first : first + size]


class EngineConnection:
    """SQLAlchemy's connection."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.info = driver.info
        dbapi = SimpleNamespace(autocommit=driver.isolation == AUTOCOMMIT)
        proxied = SimpleNamespace(driver_connection=driver, dbapi_connection=dbapi)
        self.sync_connection = SimpleNamespace(connection=proxied)

    async def execute(self, clause: Any, parameters: Mapping[str, Any] | None = None) -> Result:
        """Run a statement."""
        try:
            return Result(await self._driver.run(sql_of(clause), parameters or {}))
        except direct._FAULTS as error:
            raise direct._named(error, lost=self._driver.is_closed()) from error

    async def stream(self, clause: Any, parameters: Mapping[str, Any], execution_options: object = None) -> Result:
        """Run a statement whose rows come some at a time."""
        return await self.execute(clause, parameters)


class ModelEngine:
    """An engine on the model; connections are kept and used again, the last one first."""

    dialect = SimpleNamespace(loaded_dbapi=SimpleNamespace(Error=asyncpg.PostgresError))

    def __init__(self, network: Network, server: PostgresServer, isolation: str = "READ COMMITTED") -> None:
        self._network = network
        self._server = server
        self._isolation = isolation
        self._idle: list[Driver] = []

    def execution_options(self, isolation_level: str) -> "ModelEngine":
        """The same pool with another isolation."""
        view = ModelEngine(self._network, self._server, isolation_level)
        view._idle = self._idle
        return view

    async def dispose(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().terminate()

    async def raw_connection(self) -> Any:
        """A connection that each statement of is its own transaction; `close` gives it back."""
        driver = await self._take(AUTOCOMMIT)
        return SimpleNamespace(driver_connection=driver, close=lambda: self._give_back(driver))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[EngineConnection]:
        """A connection; what is open at the end is rolled back."""
        driver = await self._take(self._isolation)
        try:
            yield EngineConnection(driver)
        finally:
            await self._reset(driver)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[EngineConnection]:
        """A connection and its transaction, committed at the end."""
        async with self.connect() as connection:
            yield connection
            try:
                await connection._driver.execute("COMMIT")
            except direct._FAULTS as error:
                raise direct._named(error, lost=True) from error

    async def _take(self, isolation: str) -> Driver:
        while self._idle:
            driver = self._idle.pop()
            if not driver.is_closed():
                driver.isolation = isolation
                return driver
        driver = Driver(await self._network.connect(self._server))
        driver.isolation = isolation
        return driver

    async def _reset(self, driver: Driver) -> None:
        if driver.is_in_transaction() and not driver.is_closed():
            try:
                await driver.execute("ROLLBACK")
            except direct._FAULTS:
                return
        self._give_back(driver)

    def _give_back(self, driver: Driver) -> None:
        if not driver.is_closed():
            self._idle.append(driver)


def engine_on(network: Network, server: PostgresServer) -> AsyncEngine:
    """An engine as the product takes it."""
    return cast("AsyncEngine", ModelEngine(network, server))


def _know(*modules: Any) -> None:
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Statement):
                _STATEMENTS[value._numbered] = value


_know(outbox, recompute, backlog, heads, lease)
