"""The migrations make exactly the models, both ways, from the project's root as an operator runs them."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from writer.db.models import Base

ROOT = Path(__file__).resolve().parents[2]

_SHAPE = """
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')
ORDER BY 1, 2
"""

_STEP_BY_STEP = """
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

config = Config("alembic.ini")
steps = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
command.upgrade(config, "head")
for _ in steps:
    command.downgrade(config, "-1")
for _ in steps:
    command.upgrade(config, "+1")
"""
"""One process for all: Python's start would be most of it."""


def alembic(url: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run alembic as a process of its own, with the guide's plain form of `DATABASE_URL`."""
    return subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, **more},
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """What a query answers."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def tables(url: str) -> set[str]:
    """Names of the tables that there are, Alembic's own aside."""
    found = rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
    return {str(name) for (name,) in found}


def test_up_down_and_up_again_make_the_same_schema(empty_database_url: str) -> None:
    """Going down to nothing leaves nothing, and going up again makes what was there before."""
    assert empty_database_url.startswith("postgresql://")
    assert alembic(empty_database_url, "upgrade", "head").returncode == 0
    first = rows(empty_database_url, _SHAPE)
    assert tables(empty_database_url) == set(Base.metadata.tables)
    down = alembic(empty_database_url, "downgrade", "base")
    assert down.returncode == 0, down.stderr
    assert tables(empty_database_url) == set()
    assert alembic(empty_database_url, "upgrade", "head").returncode == 0
    assert rows(empty_database_url, _SHAPE) == first


def test_every_single_step_goes_down_and_up(empty_database_url: str) -> None:
    """Each migration can be taken back on its own, and the one before it still stands."""
    stepped = subprocess.run(
        [sys.executable, "-c", _STEP_BY_STEP],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": empty_database_url},
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert stepped.returncode == 0, stepped.stderr
    assert tables(empty_database_url) == set(Base.metadata.tables)


def test_autogenerate_finds_nothing(database_url: str) -> None:
    """The models and the migrations say the same, comments and defaults included."""
    checked = alembic(database_url, "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "No new upgrade operations detected" in checked.stdout + checked.stderr


def test_every_table_says_what_it_keeps(database_url: str) -> None:
    """No table is without a comment on itself."""
    silent = rows(
        database_url,
        """SELECT c.relname FROM pg_class c
           WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'
           AND NOT EXISTS (SELECT 1 FROM pg_description d WHERE d.objoid = c.oid
                           AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0)""",
    )
    assert silent == []


def test_models_and_database_agree_on_table_comments(database_url: str) -> None:
    """A comment in a model is a comment in the database."""
    found = rows(
        database_url,
        """SELECT relname, obj_description(oid) FROM pg_class
           WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'""",
    )
    assert {str(row[0]): row[1] for row in found} == {
        name: table.comment for name, table in Base.metadata.tables.items()
    }


def test_two_runners_wait_for_one_another(empty_database_url: str) -> None:
    """Replicas that start together migrate once: the second finds the work done."""
    done: list[subprocess.CompletedProcess[str]] = []
    runners = [
        threading.Thread(target=lambda: done.append(alembic(empty_database_url, "upgrade", "head"))) for _ in range(2)
    ]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert [run.returncode for run in done] == [0, 0], "".join(run.stderr for run in done)
    assert tables(empty_database_url) == set(Base.metadata.tables)


def test_a_runner_waits_while_another_holds_the_lock(empty_database_url: str) -> None:
    """Nothing is migrated before the one ahead is through."""
    with psycopg.connect(empty_database_url, autocommit=True) as ahead:
        ahead.execute("SELECT pg_advisory_lock(7070000001)")
        done: list[subprocess.CompletedProcess[str]] = []
        runner = threading.Thread(target=lambda: done.append(alembic(empty_database_url, "upgrade", "head")))
        runner.start()
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 40
        while not ahead.execute(waiting).fetchall():
            assert time.monotonic() < deadline, "the second runner never came to the lock"
            time.sleep(0.05)
        assert tables(empty_database_url) == set()
        ahead.execute("SELECT pg_advisory_unlock(7070000001)")
        runner.join()
    assert done[0].returncode == 0, done[0].stderr
    assert tables(empty_database_url) == set(Base.metadata.tables)


@pytest.mark.parametrize("url", [None, "", "mysql://user:hunter2@host/db", "postgresql://user:hunter2@host:port/db"])
def test_a_wrong_database_url_is_named_and_never_shown(url: str | None) -> None:
    """The message names `DATABASE_URL` and keeps the password to itself."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    if url is not None:
        environment["DATABASE_URL"] = url
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 1
    assert "DATABASE_URL" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_migrations_do_not_go_through_a_pooler(empty_database_url: str) -> None:
    """Their lock is held over several transactions: told with the setting, and nothing is changed."""
    done = alembic(empty_database_url, "upgrade", "head", DATABASE_POOLER="transaction")
    assert done.returncode == 1
    assert "DATABASE_POOLER is set: migrate at Postgres itself" in done.stderr
    assert tables(empty_database_url) == set()
