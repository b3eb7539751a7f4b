"""`python -m tests.plans`: a million users for true, every statement planned, those that only read carried out.

It prints what took longest, and each statement that reads more than it may; then the exit status is 1.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import click
import psycopg

from sandbox.postgres import PostgresConfig, PostgresServer
from tests.plans import crowd, judged
from tests.plans.explained import Plan, explain
from tests.plans.statements import statements
from tests.support.postgres import migrate

_SHOWN: Final = 40
_LONGEST_MS: Final = 60_000
_ROOM: Final = {"shared_buffers": "512MB", "maintenance_work_mem": "256MB", "max_wal_size": "4GB"}

SAMPLES: Final = {
    "project_id": 1, "user_id": "user_000000000020", "user_ref": 20, "ref": 20, "limit": 50, "most": 50,
    "needles": [b"nobody"],
    "after": 0, "epoch": 1760000000, "revision": 1_999_000, "object_id": "sub_000000000000000000000020", "cursor": "",
    "id": "sub_000000000000000000000020", "kept": 90 * 86_400, "key": "k21", "words": "user_0000000002",
    "customer": "cus_00000000000020", "customer_id": "cus_00000000000020", "subject": "user:user_000000000020",
    "refs": [20, 21, 23], "ids": [20, 21, 23], "price_ids": ["price_000000000000000000000007"],
}  # fmt: skip
"""What statements are asked for, by their parameters' names, where that fits; else the generic plan is all."""


@click.command()
@click.option("--users", default=judged.USERS, show_default=True)
def main(users: int) -> None:
    """Fill a database, plan every statement of the writer, and time what only reads."""
    with tempfile.TemporaryDirectory(prefix="plans-") as folder:
        sys.exit(asyncio.run(_run(users, Path(folder))))


async def _run(users: int, folder: Path) -> int:
    config = PostgresConfig(durable=False, log_path=folder / "postgres.log", settings=_ROOM)
    async with PostgresServer(config) as server:
        migrate(server.url)
        began = time.monotonic()
        crowd.fill(server.superuser_url, users)
        click.echo(f"{users:,} users after {time.monotonic() - began:.0f} s")
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            connection.execute("SET jit = off")
            return _look(connection)


def _look(connection: psycopg.Connection[Any]) -> int:
    _sizes(connection)
    large = judged.large_tables(connection)
    timed = [plan for plan in (_timed(connection, one) for one in statements()) if plan is not None]
    for plan in sorted(timed, key=lambda one: -(one.took or 0))[:_SHOWN]:
        why = judged.excepted(plan)
        click.echo(
            f"{plan.took or 0:9.2f} ms  {plan.found.name}{'' if why is None else f'  ({judged.MAY_READ_MORE[why]})'}"
        )
    click.echo(f"{len(timed)} statements were carried out")
    well = {plan.found.name for plan in timed if not judged.faults(plan, large)}
    # Postgres takes the plan that is made with the values where it costs less: then that is what counts.
    judging = [plan for plan in judged.plans(connection) if judged.excepted(plan) is None]
    found = [fault for plan in judging if plan.found.name not in well for fault in judged.faults(plan, large)]
    click.echo("\n".join(found) or "every statement finds its rows by an index")
    return 1 if found else 0


def _timed(connection: psycopg.Connection[Any], one: Any) -> Plan | None:
    """Carry it out, in a transaction that is taken back; None where samples do not fit it."""
    if any(name not in SAMPLES for name in one.parameters):
        return None
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL statement_timeout = {_LONGEST_MS}".encode())
            return explain(connection, one, SAMPLES, analyze=True)
    except psycopg.Error:
        return None


def _sizes(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute("""
        SELECT relname, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY pg_total_relation_size(oid) DESC LIMIT 20
    """).fetchall()
    for name, count, size, indexes in rows:
        click.echo(f"{name:22} {count:>12,} rows {size / 1024**2:9.1f} MiB, indexes {indexes / 1024**2:9.1f} MiB")


if __name__ == "__main__":
    main()
