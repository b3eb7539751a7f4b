"""A real Postgres per worker, a database of its own per test."""

import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg import sql

from sandbox.postgres import PostgresConfig, PostgresServer
from tests.support.scratch import is_memory

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "billing_template"

StartPostgres = Callable[..., Awaitable[PostgresServer]]

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PostgresServer]:
    """This worker's server. Do not stop it or change its settings: ask for `postgres_server` instead."""
    log_path = tmp_path_factory.mktemp("postgres") / "postgres.log"
    async with PostgresServer(PostgresConfig(durable=False, log_path=log_path)) as server:
        yield server


@pytest.fixture(scope="session")
def template_database(shared_postgres: PostgresServer) -> str:
    """The name of a database at the newest migration, to copy from; nobody connects to it."""
    create_database(shared_postgres, TEMPLATE, template="template1")
    migrate(shared_postgres.url_of(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(shared_postgres: PostgresServer, template_database: str) -> Iterator[str]:
    """`postgresql://…` of a fresh database at the newest migration; dropped afterwards, open connections and all."""
    name = f"test_{next(_numbers)}"
    create_database(shared_postgres, name, template=template_database)
    yield shared_postgres.url_of(name)
    drop_database(shared_postgres, name)


@pytest.fixture
def empty_database_url(shared_postgres: PostgresServer) -> Iterator[str]:
    """`postgresql://…` of a fresh database without any table."""
    name = f"empty_{next(_numbers)}"
    create_database(shared_postgres, name, template="template1")
    yield shared_postgres.url_of(name)
    drop_database(shared_postgres, name)


@pytest_asyncio.fixture
async def postgres_server(tmp_path: Path) -> AsyncIterator[StartPostgres]:
    """Start servers that the test may kill and restart.

    `server = await postgres_server(durable=True)` takes the fields of `PostgresConfig`. The server's
    database is empty: `migrate(server.url)` from `tests.support.postgres` fills it.
    """
    async with AsyncExitStack() as stack:

        async def start(**settings: object) -> PostgresServer:
            log_path = tmp_path / f"postgres-{next(_numbers)}.log"
            config = PostgresConfig(**{"durable": False, "log_path": log_path, **settings})  # type: ignore[arg-type]
            return await stack.enter_async_context(PostgresServer(config))

        yield start


def migrate(url: str, revision: str = "head") -> None:
    """Bring a database to a migration, by the command that an operator uses."""
    if not (ROOT / "alembic.ini").exists():
        return
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", revision],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    if done.returncode:
        pytest.fail(f"alembic upgrade {revision} failed:\n{done.stdout}{done.stderr}", pytrace=False)


def create_database(server: PostgresServer, name: str, *, template: str) -> None:
    """Make a database as a copy of another, to which nobody is connected."""
    # Where files cost little, copying them takes half as long as logging each of their blocks.
    strategy = sql.SQL("file_copy" if is_memory() else "wal_log")
    names = sql.Identifier(name), sql.Identifier(template)
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(*names, strategy)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(statement)


def drop_database(server: PostgresServer, name: str) -> None:
    """Drop a database although clients are still connected to it.

    Not `WITH (FORCE)`: that is refused to an ordinary role while an autovacuum worker, which belongs to
    the superuser, visits the database. A plain drop sends such a worker away by itself.
    """
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND usename = current_user AND pid <> pg_backend_pid()",
            (name,),
        )
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
