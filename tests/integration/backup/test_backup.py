"""A backup is one moment of the database, whole or not there at all, and old ones go only when a new one is good."""

import hashlib
import json
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.integration.backup.conftest import Keeper, instead_of, wait_until
from writer.backup.making import LOCK

HALF = 'for one; do case "$one" in --file=*) echo half > "${one#--file=}";; esac; done'
"""Of a pg_dump that writes the beginning of its file."""


def _files(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()} if folder.exists() else set()


def _aged(dump: Path, days: float, **contents: str) -> Path:
    """The same backup, made so many days earlier; maybe of another database."""
    manifest = json.loads(dump.with_suffix(".json").read_text(encoding="utf-8"))
    moment = datetime.fromisoformat(manifest["contents"]["read_at"]) - timedelta(days=days)
    older = dump.with_name(f"billing-{days:g}-{len(contents)}.dump")
    shutil.copy(dump, older)
    manifest |= {"file": older.name, "contents": {**manifest["contents"], "read_at": moment.isoformat(), **contents}}
    older.with_suffix(".json").write_text(json.dumps(manifest), encoding="utf-8")
    return older


def test_a_backup_says_what_stands_in_it(keeper: Keeper) -> None:
    """Rows of each table, where each project stands, schema and database; only its owner reads it."""
    before = datetime.now(UTC) - timedelta(minutes=1)
    dump = keeper.backup()
    manifest = keeper.manifest(dump)
    contents = manifest["contents"]
    ((version,),) = keeper.ask("SELECT version_num FROM alembic_version")
    ((digest,),) = keeper.ask("SELECT encode(digest, 'hex') FROM projects")
    assert before < datetime.fromisoformat(contents["read_at"]) < datetime.now(UTC) + timedelta(minutes=1)
    assert (contents["tables"]["manual_grants"], contents["tables"]["documents"]) == (2, 2)
    assert contents["schema_revision"] == version
    epoch, revision = keeper.head()
    assert contents["projects"] == [
        {"project": "shop", "epoch": epoch, "revision": revision, "users": 2, "digest": digest}
    ]
    assert manifest["sha256"] == hashlib.sha256(dump.read_bytes()).hexdigest()
    assert manifest["size"] == dump.stat().st_size
    assert dump.stat().st_mode & 0o777 == 0o600
    assert _files(keeper.folder) == {".dump", ".json"}
    ((file, size, verified),) = keeper.ask("SELECT file, size, verified_at FROM backups")
    assert (file, size, verified) == (dump.name, manifest["size"], None)


def test_the_manifest_is_of_the_dumps_own_moment(keeper: Keeper, tmp_path: Path) -> None:
    """What is committed after the manifest's rows were counted and before pg_dump begins is in neither."""
    statement = "INSERT INTO users (project_id, user_id) SELECT id, 'late' FROM projects"
    script = f'"${{REAL%/*}}/psql" -q -c "{statement}" "{keeper.url}" && exec "$REAL" "$@"'
    keeper.more["POSTGRES_BIN"] = str(instead_of(tmp_path / "bin", "pg_dump", script))
    made = keeper.json("backup", "--directory", keeper.folder, "--verify")
    assert made["verified_at"] is not None
    assert keeper.manifest(Path(made["file"]))["contents"]["tables"]["users"] == 2
    assert keeper.ask("SELECT count(*) FROM users") == [(3,)]


def test_no_password_stands_on_a_command_line(keeper: Keeper, tmp_path: Path) -> None:
    """Everybody on the machine can read those; the environment only its user. Our other keys are not handed on."""
    seen = tmp_path / "seen"
    script = f'echo "$@" > {seen}; env > {seen}.env; exec "$REAL" "$@"'
    keeper.more |= {
        "POSTGRES_BIN": str(instead_of(tmp_path / "bin", "pg_dump", script)), "STRIPE_SECRET_KEY": "sk_test_kept",
    }  # fmt: skip
    keeper.backup()
    password = psycopg.conninfo.conninfo_to_dict(keeper.url)["password"]
    assert f"{password}" not in seen.read_text(encoding="utf-8")
    environment = Path(f"{seen}.env").read_text(encoding="utf-8")
    assert f"PGPASSWORD={password}" in environment
    assert "sk_test_kept" not in environment


def test_verified_backups_are_told_of(keeper: Keeper) -> None:
    """The manifest and the database say when it was restored and found equal."""
    dump = keeper.backup("--verify")
    assert keeper.manifest(dump)["verified_at"] is not None
    ((verified,),) = keeper.ask("SELECT verified_at FROM backups")
    assert verified is not None
    assert keeper.ask("SELECT datname FROM pg_database WHERE datname LIKE 'billing\\_verify%'") == []


def test_a_missing_program_is_named(keeper: Keeper, tmp_path: Path) -> None:
    """What is missing, and the setting that names it."""
    (tmp_path / "empty").mkdir()
    keeper.more["POSTGRES_BIN"] = str(tmp_path / "empty")
    result = keeper.run("backup", "--directory", keeper.folder)
    assert result.exit_code == 1
    assert "there is no pg_dump" in result.stderr
    assert "POSTGRES_BIN" in result.stderr
    keeper.more["POSTGRES_BIN"] = str(tmp_path / "nowhere")
    assert keeper.run("backup", "--directory", keeper.folder).exit_code == 2


def test_an_older_program_is_refused_with_both_versions(keeper: Keeper, tmp_path: Path) -> None:
    """An older pg_dump does not know what a newer server holds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n", encoding="utf-8")
    (folder / "pg_dump").chmod(0o755)
    keeper.more["POSTGRES_BIN"] = str(folder)
    ((version,),) = keeper.ask("SELECT current_setting('server_version')")
    result = keeper.run("backup", "--directory", keeper.folder)
    assert result.exit_code == 1
    assert "is of Postgres 9.6.24" in result.stderr
    assert version in result.stderr
    assert _files(keeper.folder) == set()


def test_nothing_goes_through_a_pooler(keeper: Keeper) -> None:
    """It would give each statement another connection: told by the setting's name."""
    keeper.more["DATABASE_POOLER"] = "transaction"
    for words in (("backup", "--directory", keeper.folder), ("restore", __file__, "--yes")):
        result = keeper.run(*words)
        assert result.exit_code == 2
        assert "DATABASE_POOLER is set: back up and restore at Postgres itself" in result.stderr


def test_one_backup_at_a_time(keeper: Keeper) -> None:
    """The lock is the database's: whoever comes second does nothing, wherever the folder is."""
    with psycopg.connect(keeper.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        result = keeper.run("backup", "--directory", keeper.folder)
        assert result.exit_code == 1
        assert "another backup of this database is under way" in result.stderr
        assert _files(keeper.folder) == set()
    keeper.backup()


def test_what_fails_leaves_nothing_and_prunes_nothing(keeper: Keeper, tmp_path: Path) -> None:
    """A dump that breaks off is taken away, its last words are told, and older backups stay whatever their age."""
    old = _aged(keeper.backup(), 400)
    there = set(keeper.folder.iterdir())
    script = (
        'for one; do case "$one" in --file=*) echo half > "${one#--file=}";; esac; done; echo no more disk >&2; exit 1'
    )
    keeper.more["POSTGRES_BIN"] = str(instead_of(tmp_path / "bin", "pg_dump", script))
    result = keeper.run("backup", "--directory", keeper.folder, "--keep-days", "30")
    assert result.exit_code == 1
    assert "pg_dump failed with status 1" in result.stderr
    assert "no more disk" in result.stderr
    assert set(keeper.folder.iterdir()) == there
    assert old.exists()
    ((count,),) = keeper.ask("SELECT count(*) FROM backups")
    assert count == 1


def test_what_cannot_be_verified_prunes_nothing(keeper: Keeper, tmp_path: Path) -> None:
    """A new backup that was not found good takes no older one's place."""
    old = _aged(keeper.backup(), 400)
    keeper.more["POSTGRES_BIN"] = str(instead_of(tmp_path / "bin", "pg_restore", "exit 3"))
    result = keeper.run("backup", "--directory", keeper.folder, "--keep-days", "30", "--verify")
    assert result.exit_code == 1
    assert old.exists()


def test_a_full_disk_is_told_before_anything_is_written(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both figures, and that nothing was pruned."""

    class _Usage(NamedTuple):
        free: int

    monkeypatch.setattr("writer.backup.folder.shutil.disk_usage", lambda _: _Usage(1_000))
    result = keeper.run("backup", "--directory", keeper.folder)
    assert result.exit_code == 1
    assert "0.0 MiB free" in result.stderr
    assert _files(keeper.folder) == set()


def test_only_what_is_old_goes_and_never_the_last_one(keeper: Keeper) -> None:
    """Older than the period goes, manifest and all; the last one of another database stays, however old."""
    first = keeper.backup()
    young, old, older = _aged(first, 29), _aged(first, 31), _aged(first, 300)
    elsewhere = _aged(first, 200, identity="1:00000001:1")
    before_that = _aged(first, 250, identity="1:00000001:1")
    stranger = keeper.folder / "notes.dump"
    stranger.write_bytes(b"PGDMP of somebody")
    made = keeper.json("backup", "--directory", keeper.folder, "--keep-days", "30")
    assert sorted(made["pruned"]) == sorted([old.name, older.name, before_that.name])
    assert all(one.exists() for one in (first, young, elsewhere, stranger, Path(made["file"])))
    assert not old.with_suffix(".json").exists()
    assert {path.suffix for path in keeper.folder.glob("*-300-*")} == set()


def test_a_replica_that_took_over_goes_on_with_the_same_backups(keeper: Keeper) -> None:
    """It begins a new timeline, and is the same database: what was kept before goes when it is old."""
    first = keeper.backup()
    cluster, _, database = keeper.manifest(first)["contents"]["identity"].split(":")
    old = _aged(first, 40, identity=f"{cluster}:0000000A:{database}")
    assert keeper.json("backup", "--directory", keeper.folder, "--keep-days", "30")["pruned"] == [old.name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_was_ended(keeper: Keeper, tmp_path: Path, number: signal.Signals) -> None:
    """Told to end, it takes away what it wrote; killed, the next run does. Neither looks like a backup meanwhile."""
    script = f"{HALF}\nexec sleep 30"
    keeper.more["POSTGRES_BIN"] = str(instead_of(tmp_path / "bin", "pg_dump", script))
    process = keeper.start("backup", "--directory", keeper.folder)
    try:
        wait_until(lambda: any(path.stat().st_size for path in _partials(keeper.folder)))
        process.send_signal(number)
        _, said = process.communicate(timeout=40)
    finally:
        process.kill()
    assert list(keeper.folder.glob("*.dump")) == []
    if number is signal.SIGTERM:
        assert process.returncode == 1, said
        assert _files(keeper.folder) == set()
    del keeper.more["POSTGRES_BIN"]
    wait_until(lambda: _ended(keeper))
    keeper.backup()
    assert _files(keeper.folder) == {".dump", ".json"}


def _partials(folder: Path) -> list[Path]:
    return list(folder.glob(".*.partial")) if folder.exists() else []


def _ended(keeper: Keeper) -> bool:
    """Whether the killed run's connections are gone, and its lock with them."""
    rows: list[Any] = keeper.ask("SELECT 1 FROM pg_stat_activity WHERE application_name = 'billing-backup'"
                                 " AND datname = current_database()")  # fmt: skip
    return not rows
