"""Statements that go straight to the driver."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.settings import Secret
from tests.integration.ledger.conftest import Ledger
from tests.support.ledger import Untouched
from writer.db.direct import Statement, begin, connected
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.settings import DatabaseSettings

_ADD = Statement("INSERT INTO users (project_id, user_id) VALUES (:project_id, :user_id) RETURNING id, user_id AS name")
_COUNT = Statement("SELECT count(*) AS users FROM users")


@pytest.fixture
async def single(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine of one connection: whatever is left in it, the next one meets."""
    engine = create_engine(DatabaseSettings(Secret(database_url), None, 1, 30, 10, 30))
    yield engine
    await engine.dispose()


async def _lose_all_connections(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()


async def test_names(ledger: Ledger) -> None:
    """A parameter is named as often as it is needed, a cast is none, and JSON comes out read."""
    statement = Statement("SELECT :a::bigint + :a AS twice, :b::json AS body, '12:30' AS said")
    (row,) = await statement.run_alone(ledger.engine, {"b": '{"x": [1]}', "a": 2})
    assert (row.twice, row.body, row.said) == (4, {"x": [1]}, "12:30")
    assert not hasattr(row, "nothing")


async def test_one_transaction_both_ways(ledger: Ledger) -> None:
    """What goes through SQLAlchemy and what goes past it commits, or is rolled back, as one."""

    async def work(connection: AsyncConnection) -> None:
        parameters = {"project_id": ledger.project_id}
        await _ADD.run(connection, parameters | {"user_id": "past"})
        await connection.execute(text("INSERT INTO users (project_id, user_id) VALUES (:project_id, 'by')"), parameters)

    async def fail(connection: AsyncConnection) -> None:
        await work(connection)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ledger.transactions.run(fail)
    (row,) = await _COUNT.run_alone(ledger.engine, {})
    assert row.users == 0
    await ledger.transactions.run(work)
    (row,) = await _COUNT.run_alone(ledger.engine, {})
    assert row.users == 2


async def test_sqlalchemys_own_transaction(ledger: Ledger) -> None:
    """In a transaction that SQLAlchemy begins, the first statement is part of it already."""
    async with ledger.engine.connect() as connection:
        await _ADD.run(connection, {"project_id": ledger.project_id, "user_id": "first"})
        await connection.rollback()
    (row,) = await _COUNT.run_alone(ledger.engine, {})
    assert row.users == 0


async def test_fault_names(ledger: Ledger) -> None:
    """A fault is SQLAlchemy's, with the driver's code, and says nothing of the values."""
    parameters = {"project_id": ledger.project_id, "user_id": "twice"}
    (row,) = await _ADD.run_alone(ledger.engine, parameters)
    assert row.name == "twice"
    with pytest.raises(IntegrityError) as alone:
        await _ADD.run_alone(ledger.engine, parameters)
    with pytest.raises(IntegrityError) as within:
        await ledger.transactions.run(lambda connection: _ADD.run(connection, parameters))
    for fault in (alone.value, within.value):
        assert getattr(fault.orig, "sqlstate", None) == "23505"
        assert not fault.connection_invalidated


async def test_lost_connections_in_a_transaction(ledger: Ledger, database_url: str) -> None:
    """A transaction that begins on a lost connection is run again, however many of the pool are lost."""
    await asyncio.gather(
        *(ledger.transactions.run(lambda c: c.execute(text("SELECT pg_sleep(0.1)"))) for _ in range(9))
    )
    await _lose_all_connections(database_url)
    rows = await ledger.transactions.run(
        lambda connection: _ADD.run(connection, {"project_id": ledger.project_id, "user_id": "late"})
    )
    assert len(rows) == 1


async def test_lost_connections_alone(ledger: Ledger, database_url: str) -> None:
    """A statement by itself fails once on lost connections, as lost; the next one meets new ones."""
    await asyncio.gather(*(Statement("SELECT pg_sleep(0.1)").run_alone(ledger.engine, {}) for _ in range(9)))
    await _lose_all_connections(database_url)
    with pytest.raises(DBAPIError) as lost:
        await _COUNT.run_alone(ledger.engine, {})
    assert lost.value.connection_invalidated
    await asyncio.gather(*(_COUNT.run_alone(ledger.engine, {}) for _ in range(9)))


@pytest.mark.parametrize("alone", [True, False])
async def test_lost_at_any_turn_of_the_loop(ledger: Ledger, database_url: str, *, alone: bool) -> None:
    """However much the loop has seen of the connection's end: it is lost, and the next statement has another one."""
    for turns in range(6):
        await _COUNT.run_alone(ledger.engine, {})
        _lose_unseen(database_url)
        for _ in range(turns):
            await asyncio.sleep(0)
        with contextlib.suppress(DBAPIError):  # a new one already, where the loop has seen the old one's end
            if alone:
                await _COUNT.run_alone(ledger.engine, {})
            else:
                async with connected(ledger.engine.execution_options(isolation_level="AUTOCOMMIT")) as connection:
                    await begin(connection)
        await _COUNT.run_alone(ledger.engine, {})


def _lose_unseen(database_url: str) -> None:
    """Without a turn of the loop until the server has hung up."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_cancelled_in_a_transaction(ledger: Ledger, single: AsyncEngine) -> None:
    """Of a transaction that is cancelled nothing stays, and its connection goes on clean."""

    async def work(connection: AsyncConnection) -> None:
        await _ADD.run(connection, {"project_id": ledger.project_id, "user_id": "gone"})
        began.set()
        await Statement("SELECT pg_sleep(30)").run(connection, {})

    for _ in range(2):
        began = asyncio.Event()
        task = asyncio.create_task(Transactions(single, Untouched()).run(work))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (row,) = await _COUNT.run_alone(single, {})
        assert row.users == 0
