"""Each way to load a backup is recognised: a new epoch begins before a revision is given (invariant 4)."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine

from common.clock import SystemClock
from common.position import Position
from sandbox.binaries import find_postgres
from sandbox.ports import free_port
from sandbox.postgres import PostgresServer
from tests.support.history import grant
from tests.support.ledger import Ledger, open_engine
from tests.support.postgres import StartPostgres, drop_database, migrate
from tests.support.read_replica import ReadReplica
from writer.db.transaction import LineageMovedError
from writer.lineage import LineageKeeper
from writer.relay.metrics import RelayMetrics

PROGRAMS: Final = find_postgres().postgres.parent
OTHER: Final = "restored_db"


def _keeper(engine: AsyncEngine) -> LineageKeeper:
    return LineageKeeper(engine, RelayMetrics(CollectorRegistry()), lambda: None, SystemClock())


def _run(program: str, *arguments: str | Path) -> None:
    subprocess.run([PROGRAMS / program, *arguments], check=True, timeout=60, stdout=subprocess.DEVNULL)


def _load(url: str, dump: Path) -> None:
    _run("psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--file", dump, url)


def _execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest_asyncio.fixture
async def lived(ledger: Ledger, engine: AsyncEngine) -> Ledger:
    """A project that its database knows, at revision 2."""
    await _keeper(engine).check()
    await ledger.edit("pro")
    await ledger.change("ada", grant())
    return ledger


async def _goes_on_in_a_new_epoch(url: str, ledger: Ledger, before: Position) -> None:
    """No revision is given before a new epoch began; the next one follows on the last that was restored."""
    engine = open_engine(url)
    try:
        again = Ledger(engine, ledger.project_id, ledger.project)
        recorded = (await again.query("SELECT identity FROM lineage"))[0].identity
        moved = (await again.query("SELECT home_oid <> tableoid AS moved FROM projects"))[0].moved
        keeper = _keeper(engine)
        if moved:
            with pytest.raises(LineageMovedError):
                await again.change("ada")
        else:
            async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
                assert not await keeper.stands_on(connection), recorded
        await keeper.check()
        head = await again.head()
        assert (head.epoch > before.epoch, head.revision) == (True, before.revision)
        assert (await again.change("ada")).position == (head.epoch, before.revision + 1)
        await keeper.check()
        assert (await again.head()).epoch == head.epoch
    finally:
        await engine.dispose()


def _pg_restore_elsewhere(url: str, server: PostgresServer, folder: Path) -> str:
    _run("pg_dump", "--format=custom", "--file", folder / "dump", url)
    _execute(server.url, f"CREATE DATABASE {OTHER}")
    _run("pg_restore", "--dbname", server.url_of(OTHER), folder / "dump")
    return server.url_of(OTHER)


def _database_made_anew(url: str, server: PostgresServer, folder: Path) -> str:
    _run("pg_dump", "--file", folder / "dump.sql", url)
    name = url.rpartition("/")[2]
    drop_database(server, name)
    _execute(server.url, f"CREATE DATABASE {name}")
    _load(url, folder / "dump.sql")
    return url


def _schema_made_anew(url: str, server: PostgresServer, folder: Path) -> str:
    _run("pg_dump", "--file", folder / "dump.sql", url)
    with psycopg.connect(
        server.superuser_url.rpartition("/")[0] + "/" + url.rpartition("/")[2], autocommit=True
    ) as one:
        one.execute("DROP SCHEMA public CASCADE")
        one.execute("CREATE SCHEMA public")
        one.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(server.config.user)))
    _load(url, folder / "dump.sql")
    return url


def _clean_dump_over_it(url: str, _: PostgresServer, folder: Path) -> str:
    _run("pg_dump", "--clean", "--if-exists", "--file", folder / "dump.sql", url)
    _load(url, folder / "dump.sql")
    return url


def _data_alone(url: str, _: PostgresServer, folder: Path) -> str:
    _run("pg_dump", "--data-only", "--file", folder / "dump.sql", url)
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)
        connection.execute(sql.SQL("TRUNCATE {}").format(names))
    _load(url, folder / "dump.sql")
    return url


@pytest.mark.parametrize(
    "way",
    [_pg_restore_elsewhere, _database_made_anew, _schema_made_anew, _clean_dump_over_it, _data_alone],
    ids=lambda way: way.__name__.strip("_"),
)
async def test_each_way_to_load_a_dump_is_recognised(
    lived: Ledger,
    engine: AsyncEngine,
    database_url: str,
    shared_postgres: PostgresServer,
    tmp_path: Path,
    way: Callable[[str, PostgresServer, Path], str],
) -> None:
    """Another database, the same name again, the same database with new tables, and the same tables with old rows."""
    before = await lived.head()
    await engine.dispose()
    try:
        await _goes_on_in_a_new_epoch(way(database_url, shared_postgres, tmp_path), lived, before)
    finally:
        await engine.dispose()
        if way is _pg_restore_elsewhere:
            drop_database(shared_postgres, OTHER)


async def test_a_fresh_server_is_recognised(
    lived: Ledger, database_url: str, postgres_server: StartPostgres, tmp_path: Path
) -> None:
    """Even where it gave the same numbers to databases and tables, its cluster is another one."""
    before = await lived.head()
    _run("pg_dump", "--file", tmp_path / "dump.sql", database_url)
    fresh = await postgres_server()
    _load(fresh.url, tmp_path / "dump.sql")
    await _goes_on_in_a_new_epoch(fresh.url, lived, before)


async def test_a_recovery_to_a_point_in_time_is_recognised(postgres_server: StartPostgres, tmp_path: Path) -> None:
    """Files of the same cluster, with the same tables: what was recovered lives on a timeline of its own."""
    server = await postgres_server()
    await asyncio.to_thread(migrate, server.url)
    engine = open_engine(server.url)
    try:
        ledger = await Ledger.open(engine)
        await _keeper(engine).check()
        await ledger.change("ada", grant())
        before = await ledger.head()
        recovered = ReadReplica(server, tmp_path, free_port())
        await recovered._prepare()  # the base backup, while the server goes on
        await ledger.change("late", grant())
    finally:
        await engine.dispose()
    await server.stop()
    async with recovered:
        with psycopg.connect(recovered.superuser_url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        await _goes_on_in_a_new_epoch(recovered.url, ledger, before)
