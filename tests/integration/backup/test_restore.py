"""A restore takes the database's place as a whole, never beside a writer, and begins new epochs by itself."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sandbox.postgres import PostgresServer
from tests.integration.backup.conftest import Keeper, instead_of
from tests.support.postgres import drop_database
from writer.backup import programs


@pytest.fixture
def empty(keeper: Keeper, empty_database_url: str) -> Keeper:
    """The same commands on an empty database of the same server."""
    return Keeper(empty_database_url, keeper.folder)


@pytest.fixture
def kept(keeper: Keeper, shared_postgres: PostgresServer) -> Iterator[None]:
    """Databases that a restore kept, or left, are dropped."""
    yield
    for (name,) in keeper.ask("SELECT datname FROM pg_database WHERE datname ~ '_before_|billing_restoring'"):
        drop_database(shared_postgres, name)


def test_an_empty_database_is_filled_and_begins_new_epochs(keeper: Keeper, empty: Keeper) -> None:
    """What was there is there, in a new epoch; the restore stands in the audit log, and what comes next is said."""
    dump = keeper.backup()
    before = keeper.head()
    keeper.grant("late")
    result = empty.run("restore", dump, "--yes")
    assert result.exit_code == 0, result.output
    assert "new epochs: 1" in result.stdout
    assert "start the writers, then billing reconcile --full" in result.stdout
    epoch, revision = empty.head()
    assert epoch > before[0]
    assert revision == before[1]
    assert empty.ask("SELECT user_id FROM users ORDER BY 1") == [("ada",), ("ben",)]
    assert empty.ask("SELECT action FROM audit_log ORDER BY id DESC LIMIT 1") == [("database.restore",)]
    assert empty.ask("SELECT file FROM backups") == [(dump.name,)]
    empty.grant("late")
    assert empty.head() == (epoch, revision + 1)


def test_a_full_database_is_not_written_over(keeper: Keeper) -> None:
    """What is there is named, and the way that keeps it."""
    dump = keeper.backup()
    result = keeper.run("restore", dump, "--yes")
    assert result.exit_code == 1
    assert "is not empty: --replace" in result.stderr
    assert "public.api_keys" in result.stderr


@pytest.mark.parametrize("more", [(), ("--replace",)])
def test_nothing_is_restored_beside_a_writer(keeper: Keeper, more: tuple[str, ...]) -> None:
    """Who is connected is named."""
    dump = keeper.backup()
    with psycopg.connect(keeper.url, application_name="billing-writer"):
        result = keeper.run("restore", dump, "--yes", *more)
    assert result.exit_code == 1
    assert "is in use: stop these first" in result.stderr
    assert "billing-writer of billing_user at 127.0.0.1" in result.stderr


@pytest.mark.usefixtures("kept")
def test_a_full_database_is_replaced_and_kept(keeper: Keeper) -> None:
    """The restored one takes its name in one step, with the limits set on it; the old one stays under another name."""
    dump = keeper.backup()
    before = keeper.head()
    keeper.grant("late")
    name = psycopg.conninfo.conninfo_to_dict(keeper.url)["dbname"]
    keeper.ask(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET statement_timeout = '31s'")
    with psycopg.connect(keeper.url, autocommit=True) as idle:  # psql left open; it is sent away
        restored = keeper.json("restore", dump, "--replace", "--yes")
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert (restored["database"], restored["new_epochs"]) == (name, 1)
    assert keeper.head()[0] > before[0]
    assert keeper.head()[1] == before[1]
    assert keeper.ask("SHOW statement_timeout") == [("31s",)]
    old = keeper.url.replace(f"/{name}", f"/{restored['kept_as']}")
    assert keeper.ask("SELECT user_id FROM users WHERE user_id = 'late'", old) == [("late",)]
    assert keeper.ask("SELECT datname FROM pg_database WHERE datname ~ 'billing_restoring'") == []


@pytest.mark.usefixtures("kept")
def test_what_fails_changes_nothing(keeper: Keeper, tmp_path: Path, empty: Keeper) -> None:
    """A restore that breaks off leaves the full database as it was, and the empty one empty."""
    dump = keeper.backup()
    before = keeper.head()
    programs = str(instead_of(tmp_path / "bin", "pg_restore", '"$REAL" --section=pre-data "$@" && exit 5'))
    keeper.more["POSTGRES_BIN"] = empty.more["POSTGRES_BIN"] = programs
    assert keeper.run("restore", dump, "--replace", "--yes").exit_code == 1
    assert keeper.head() == before
    assert keeper.ask("SELECT datname FROM pg_database WHERE datname ~ '_before_|billing_restoring'") == []


@pytest.mark.usefixtures("kept")
def test_programs_newer_than_the_server_restore_as_well(
    keeper: Keeper, empty: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They set what an older server does not know: that is passed over, in no transaction, and nothing else is."""
    monkeypatch.setattr(programs, "_NOT_KNOWN_BEFORE", 99)
    complaint = 'pg_restore: error: could not execute query: ERROR:  unrecognized parameter \\"transaction_timeout\\"'
    newer = 'if [ "$1" = --version ]; then echo "pg_restore (PostgreSQL) 99.1"; exit; fi\n'
    script = f'{newer}case "$*" in *--single-transaction*) exit 4;; esac\n"$REAL" "$@"; echo "{complaint}" >&2; exit 1'
    dump = keeper.backup()
    empty.more["POSTGRES_BIN"] = str(instead_of(tmp_path / "bin", "pg_restore", script))
    assert empty.json("restore", dump, "--yes")["kept_as"] is None
    assert empty.head()[1] == keeper.head()[1]
    other = script.replace("transaction_timeout", "something_else")
    keeper.more["POSTGRES_BIN"] = str(instead_of(tmp_path / "bin", "pg_restore", other))
    result = keeper.run("verify-backup", dump)
    assert (result.exit_code, "something_else" in result.stderr) == (1, True)


def test_half_a_dump_is_not_loaded(keeper: Keeper, empty: Keeper) -> None:
    """Without its manifest nobody knows that it was cut; Postgres does, and the database stays empty."""
    dump = keeper.backup()
    dump.with_suffix(".json").unlink()
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size * 2 // 3])
    assert empty.run("restore", dump, "--yes").exit_code == 1
    assert empty.ask("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_nobody_is_asked_where_nobody_can_answer(keeper: Keeper, empty: Keeper) -> None:
    """Without a terminal it does nothing and ends with status 2."""
    dump = keeper.backup()
    result = empty.run("restore", dump)
    assert (result.exit_code, "--yes does not ask" in result.stderr) == (2, True)
    assert empty.ask("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == []


def test_a_newer_releases_backup_is_not_restored(keeper: Keeper, empty: Keeper) -> None:
    """This release could not work with it."""
    dump = keeper.backup()
    manifest = keeper.manifest(dump)
    manifest["contents"]["schema_revision"] = "9999"
    dump.with_suffix(".json").write_text(json.dumps(manifest), encoding="utf-8")
    result = empty.run("restore", dump, "--yes")
    assert (result.exit_code, "of a newer release" in result.stderr) == (1, True)


def test_a_dump_by_pg_dump_itself_is_restored_unchecked(keeper: Keeper, empty: Keeper, tmp_path: Path) -> None:
    """Without a manifest the digests still tell whether the documents are whole, and the lack is said."""
    dump = tmp_path / "by_hand.dump"
    command = [f"{keeper.environment['POSTGRES_BIN']}/pg_dump", "-Fc", "-f", str(dump), keeper.url]
    subprocess.run(command, check=True, timeout=30)
    result = empty.run("restore", dump, "--yes")
    assert result.exit_code == 0, result.output
    assert "has no manifest" in result.stderr
    assert empty.head()[1] == keeper.head()[1]


def test_a_database_that_is_not_there_is_said_so(keeper: Keeper) -> None:
    """With the command that makes it."""
    dump = keeper.backup()
    keeper.url = keeper.url.rpartition("/")[0] + "/gone_db"
    result = keeper.run("restore", dump, "--yes")
    assert (result.exit_code, "createdb gone_db" in result.stderr) == (1, True)
