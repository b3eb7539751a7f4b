"""The data directory of the local Postgres: made once, whole or not at all, with the product's role and database."""

import contextlib
import os
import signal
import tempfile
from pathlib import Path
from typing import Final

import asyncpg

from sandbox.binaries import PostgresBinaries
from sandbox.identity import hand_over, server_identity
from sandbox.processes import ChildProcess, ProcessConfig
from sandbox.readiness import StartError

SUPERUSER: Final = "postgres"


async def initialise(binaries: PostgresBinaries, data_dir: Path, password: str) -> None:
    """Run initdb, unless the directory has data already.

    Raises:
        StartError: initdb failed; the message ends with its output.
    """
    if not _is_fresh(data_dir):
        return
    identity = server_identity()
    # initdb works beside the final place: an interrupted one is no data directory.
    with tempfile.TemporaryDirectory(prefix=f".{data_dir.name}-", dir=data_dir.parent) as name:
        scratch = Path(name)
        hand_over(scratch, identity)
        password_file = scratch / "password"
        password_file.write_text(password + "\n", encoding="utf-8")
        password_file.chmod(0o600)
        hand_over(password_file, identity)
        await _run_initdb(binaries, scratch, password_file)
        _put_in_place(scratch / "data", data_dir)


def _is_fresh(data_dir: Path) -> bool:
    if (data_dir / "PG_VERSION").exists():
        return False
    if data_dir.exists() and any(data_dir.iterdir()):
        raise StartError(f"{data_dir} is neither empty nor a Postgres data directory; name another or empty it")
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    return True


def _put_in_place(made: Path, data_dir: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        data_dir.rmdir()
    made.rename(data_dir)


async def _run_initdb(binaries: PostgresBinaries, scratch: Path, password_file: Path) -> None:
    options = ("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync", "--no-instructions")
    initdb = ChildProcess(
        ProcessConfig(
            name="initdb",
            argv=(
                str(binaries.initdb),
                f"--pgdata={scratch / 'data'}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                *options,
            ),
            log_path=scratch / "initdb.log",
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            death_signal=signal.SIGTERM,
            identity=server_identity(),
        )
    )
    async with initdb:
        if code := await initdb.wait():
            raise StartError(f"initdb ended with status {code}:\n{initdb.log_tail()}")


async def ensure_owner(connection: asyncpg.Connection, user: str, password: str, database: str) -> None:
    """Make the product's role and the database that it owns, whichever is missing."""
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", user):
        await connection.execute(f"CREATE ROLE {_name(user)} LOGIN CREATEDB PASSWORD {_literal(password)}")
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        await connection.execute(f"CREATE DATABASE {_name(database)} OWNER {_name(user)}")


def remove_stale_lock(data_dir: Path) -> None:
    """Remove postmaster.pid if the process it names is no Postgres, as after a reboot or in a new container."""
    lock = data_dir / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        pid = lock.read_text(encoding="utf-8").split("\n", 1)[0]
        program = Path(f"/proc/{pid}/comm")
        if Path("/proc/self/comm").exists() and not (
            program.exists() and program.read_text(encoding="utf-8").startswith("postgres")
        ):
            lock.unlink()


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
