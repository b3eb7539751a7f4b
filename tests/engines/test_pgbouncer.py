"""PgBouncer in transaction mode: each transaction runs on another of Postgres's connections."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text

from common.settings import Secret
from sandbox.ports import free_port
from sandbox.postgres import PostgresServer
from sandbox.stack import RunningApp, Stack, StackConfig
from tests.support.following import until_followed
from tests.support.history import grant
from tests.support.ledger import Ledger
from tests.support.pgbouncer import POOL, PgBouncer, PgBouncerConfig
from tests.support.relaying import StartRelay
from tests.support.sidecars import StartSidecar
from tests.support.waiting import eventually
from writer.db.direct import Statement
from writer.db.engine import create_engine
from writer.db.transaction import Transactions
from writer.lineage import LineageKeeper
from writer.settings import DatabaseSettings, Pooler

pytestmark = [pytest.mark.needs("pgbouncer"), pytest.mark.timeout(120)]

BACK = "http://localhost/paid"


@pytest_asyncio.fixture
async def pooled(shared_postgres: PostgresServer, database_url: str, tmp_path: Path) -> AsyncIterator[DatabaseSettings]:
    """A fresh database through a pooler with few connections."""
    config = PgBouncerConfig(shared_postgres.port, tmp_path / "pgbouncer.log")
    async with PgBouncer(config) as bouncer:
        url = bouncer.url_of(database_url.rpartition("/")[2])
        yield DatabaseSettings(Secret(url), None, 20, 30, 10, 30, Pooler.TRANSACTION)


async def test_statements_of_many_at_once_never_meet_each_others(pooled: DatabaseSettings) -> None:
    """Both ways to speak to Postgres, alone and in transactions, over far fewer connections than ask."""
    engine = create_engine(pooled)
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    keeper = LineageKeeper(engine, None, lambda: None)  # type: ignore[arg-type]  # nothing is counted here
    transactions = Transactions(engine, keeper)
    direct = [Statement(f"SELECT CAST(:n AS bigint) + {k} AS found, '{{\"a\":1}}'::jsonb AS body") for k in range(7)]

    async def ask(number: int) -> None:
        for turn in range(40):
            k = (number + turn) % 7
            (row,) = await direct[k].run_alone(engine, {"n": number})
            assert (row.found, row.body) == (number + k, {"a": 1})
            async with alone.connect() as connection:
                found = await connection.execute(text(f"SELECT CAST(:n AS bigint) * {k} AS found"), {"n": number})
                assert found.scalar_one() == number * k
            one, other = await transactions.run(lambda c, k=k: _twice(c, direct[k], number))  # type: ignore[misc]
            assert one == other

    await asyncio.gather(*(ask(number) for number in range(5 * POOL)))
    await engine.dispose()


async def _twice(connection: object, statement: Statement, number: int) -> tuple[int, int]:
    (row,) = await statement.run(connection, {"n": number})  # type: ignore[arg-type]
    result = await connection.execute(text("SELECT pg_backend_pid()"))  # type: ignore[attr-defined]
    before = result.scalar_one()
    assert row.found >= number
    result = await connection.execute(text("SELECT pg_backend_pid()"))  # type: ignore[attr-defined]
    return before, result.scalar_one()


async def test_relay_and_snapshots_work_through_the_pooler(
    pooled: DatabaseSettings, redis_url: str, start_sidecar: StartSidecar, start_relay: StartRelay
) -> None:
    """Leases, outbox, streamed snapshots of a refill: a sidecar follows."""
    engine = create_engine(pooled)
    ledger = await Ledger.open(engine)
    relaying = await start_relay(engine=engine)
    await ledger.edit("pro")
    await ledger.change_many({f"user_{number}": [grant()] for number in range(2_500)})
    relaying.wakeup.notify()
    await until_followed(ledger, await start_sidecar(redis_url))
    await relaying.stop()
    await engine.dispose()


async def test_a_role_without_limits_is_told_of(
    pooled: DatabaseSettings, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What DATABASE_*_TIMEOUT cannot say through a pooler has to stand with the role; once it does, nothing is said."""
    first = create_engine(pooled)
    async with first.connect() as connection:
        await connection.execute(text("SELECT 1"))
    await first.dispose()
    assert "idle_in_transaction_session_timeout lock_timeout statement_timeout" in caplog.text
    name = database_url.rpartition("/")[2]
    with psycopg.connect(database_url, autocommit=True) as connection_of_the_operator:
        for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection_of_the_operator.execute(f"ALTER ROLE billing_user IN DATABASE {name} SET {limit} = '30s'")
        connection_of_the_operator.execute(f"ALTER ROLE billing_user IN DATABASE {name} SET timezone = 'Asia/Tokyo'")
        connection_of_the_operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
    caplog.clear()
    second = create_engine(pooled)
    async with second.connect() as connection:
        found = await connection.execute(text("SELECT current_setting('lock_timeout'), current_setting('timezone')"))
        assert tuple(found.one()) == ("30s", "UTC")
    await second.dispose()
    assert "no limits" not in caplog.text


async def test_a_payment_reaches_the_sidecar_through_the_pooler(tmp_path: Path) -> None:
    """Two writers with the pooler between them and Postgres: webhook, pipeline, relay, confirm, reconcile."""
    port = free_port()
    config = StackConfig(
        tmp_path / "logs", writers=2,
        writer_settings={
            "DATABASE_URL": f"postgresql://billing_user:billing_pass@127.0.0.1:{port}/billing_db",
            "DATABASE_POOLER": "transaction",
        },
    )  # fmt: skip
    stack = Stack(config)
    bouncer = PgBouncerConfig(stack.blueprint.port("postgres"), tmp_path / "pgbouncer.log", port, pool=10)
    async with PgBouncer(bouncer), stack:
        notes = stack.apps["notes"]
        sessions = await asyncio.gather(
            *(notes.writer.checkout(f"payer_{n}", notes.prices.subscription, BACK) for n in range(8))
        )
        await asyncio.gather(*(stack.stripe.pay(session["session_id"]) for session in sessions))
        for number in range(8):
            await eventually(lambda user=f"payer_{number}": _may_export(notes, user))  # type: ignore[misc]
        (first, *_) = sessions
        assert (await notes.writer.confirm(first["session_id"]))["token"]
        run = await stack.admin.call("POST", "/api/v1/admin/reconcile", body={"full": True})
        await eventually(lambda: _is_finished(stack, run["run_id"]))
    for log in (tmp_path / "logs").glob("writer*.log"):
        written = log.read_text(encoding="utf-8")
        assert "prepared statement" not in written
        assert "Traceback" not in written


async def _may_export(app: RunningApp, user: str) -> bool:
    return bool((await app.sidecar.check(user, "export"))["allowed"])


async def _is_finished(stack: Stack, run_id: int) -> bool:
    run = await stack.admin.call("GET", f"/api/v1/admin/reconcile/{run_id}")
    return bool(run["state"] == "finished")
