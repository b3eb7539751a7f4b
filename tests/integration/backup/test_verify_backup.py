"""A backup is checked by restoring it: into a scratch database, which is gone afterwards, whatever happens."""

import json
import signal
from pathlib import Path

import psycopg
import pytest

from sandbox.postgres import PostgresServer
from tests.integration.backup.conftest import Keeper, instead_of, wait_until
from tests.support.postgres import drop_database

_SCRATCH = "SELECT datname FROM pg_database WHERE datname LIKE 'billing\\_verify%' ORDER BY 1"


def _rewrite(dump: Path, **changes: object) -> None:
    manifest = json.loads(dump.with_suffix(".json").read_text(encoding="utf-8"))
    manifest["contents"] |= changes
    dump.with_suffix(".json").write_text(json.dumps(manifest), encoding="utf-8")


def test_a_good_backup_is_found_good(keeper: Keeper) -> None:
    """Nothing is left behind, and the database itself is not written to unless that is asked for."""
    dump = keeper.backup()
    result = keeper.run("verify-backup", dump)
    assert result.exit_code == 0, result.output
    assert "is good: rows and digests are equal" in result.stdout
    assert keeper.ask(_SCRATCH) == []
    assert keeper.ask("SELECT verified_at FROM backups") == [(None,)]
    assert keeper.manifest(dump)["verified_at"] is not None
    keeper.json("verify-backup", dump, "--record")
    assert keeper.ask("SELECT verified_at IS NOT NULL FROM backups") == [(True,)]


def test_another_server_is_enough(keeper: Keeper) -> None:
    """With a scratch server no DATABASE_URL is needed, so that production need not carry it."""
    dump = keeper.backup()
    url, keeper.url = keeper.url, ""
    assert keeper.run("verify-backup", dump).exit_code == 2
    keeper.more["BACKUP_SCRATCH_URL"] = url
    assert keeper.json("verify-backup", dump)["equal"]


def test_a_file_that_was_cut_or_changed_is_no_backup(keeper: Keeper) -> None:
    """Size and SHA-256 are the manifest's, or nothing is restored."""
    dump = keeper.backup()
    whole = dump.read_bytes()
    dump.write_bytes(whole[:-100])
    assert "it was cut, or is another one" in keeper.run("verify-backup", dump).stderr
    dump.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = keeper.run("verify-backup", dump)
    assert (result.exit_code, "SHA-256 differs" in result.stderr) == (1, True)


@pytest.mark.parametrize(("content", "words"), [
    (b"--\n-- PostgreSQL database dump\n--\n", "is a plain dump of SQL"),
    (b"something else", "is no dump of Postgres's"),
])  # fmt: skip
def test_another_file_is_named_for_what_it_is(keeper: Keeper, tmp_path: Path, content: bytes, words: str) -> None:
    """The guide's plain dumps are loaded by psql, and that is said."""
    file = tmp_path / "backup.sql"
    file.write_bytes(content)
    result = keeper.run("verify-backup", file)
    assert (result.exit_code, words in result.stderr) == (1, True)


def test_rows_that_are_not_there_are_counted(keeper: Keeper) -> None:
    """Each table that differs from the manifest is named with both numbers, and so is each project."""
    dump = keeper.backup()
    contents = keeper.manifest(dump)["contents"]
    project = {**contents["projects"][0], "revision": 99}
    _rewrite(dump, tables={**contents["tables"], "manual_grants": 7}, projects=[project])
    result = keeper.run("verify-backup", dump)
    assert result.exit_code == 1
    assert "manual_grants: 2 rows, 7 were dumped" in result.stderr
    assert f"project shop: {project['epoch']}." in result.stderr
    assert keeper.ask(_SCRATCH) == []


def test_documents_are_held_beside_their_digests(keeper: Keeper) -> None:
    """What was wrong in the database when it was dumped is wrong in the backup, and is found."""
    keeper.ask("UPDATE documents SET body = '[]' WHERE user_id = 'ada'")
    dump = keeper.backup()
    result = keeper.run("verify-backup", dump)
    assert result.exit_code == 1
    assert "project shop: digest of user ada" in result.stderr


def test_what_killed_runs_left_is_dropped(keeper: Keeper, shared_postgres: PostgresServer) -> None:
    """A scratch database whose maker is gone goes; one that somebody works with stays."""
    dump = keeper.backup()
    lost, used = "billing_verify_00000001", "billing_verify_00000002"
    with psycopg.connect(shared_postgres.url_of("postgres"), autocommit=True) as somebody:
        somebody.execute(f"CREATE DATABASE {lost}")
        somebody.execute(f"CREATE DATABASE {used}")
        somebody.execute("SELECT pg_advisory_lock(hashtext(%s))", (used,))
        keeper.json("verify-backup", dump)
        assert keeper.ask(_SCRATCH) == [(used,)]
    drop_database(shared_postgres, used)


def test_told_to_end_it_drops_what_it_made(keeper: Keeper, tmp_path: Path) -> None:
    """SIGTERM in the middle of the restore leaves no scratch database."""
    dump = keeper.backup()
    keeper.more["POSTGRES_BIN"] = str(instead_of(tmp_path / "bin", "pg_restore", "exec sleep 30"))
    process = keeper.start("verify-backup", dump)
    try:
        wait_until(lambda: bool(keeper.ask(_SCRATCH)))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)
    finally:
        process.kill()
    assert (process.returncode, "taken back" in said) == (1, True)
    assert keeper.ask(_SCRATCH) == []


def test_a_role_without_the_right_is_told_what_it_lacks(keeper: Keeper, shared_postgres: PostgresServer) -> None:
    """Which role, which right, and the other way out."""
    dump = keeper.backup()
    with psycopg.connect(shared_postgres.superuser_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE checker LOGIN PASSWORD 'checked'")
    try:
        place = psycopg.conninfo.conninfo_to_dict(keeper.url)
        url = f"postgresql://checker:checked@{place['host']}:{place['port']}/postgres"
        result = keeper.run("verify-backup", dump, "--scratch-url", url)
    finally:
        with psycopg.connect(shared_postgres.superuser_url, autocommit=True) as connection:
            connection.execute("DROP ROLE checker")
    assert result.exit_code == 1
    assert "ALTER ROLE checker CREATEDB" in result.stderr
    assert "checked" not in result.stderr
