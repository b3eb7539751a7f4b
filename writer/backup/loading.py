"""A dump loaded into an empty database, and what is there then compared with what was dumped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.settings import Secret
from writer.backup import contents, programs
from writer.backup.errors import BackupError
from writer.backup.manifest import Manifest
from writer.db.engine import create_engine
from writer.settings import DatabaseSettings

_CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump to load. `programs`: the folder of Postgres's programs; None: the path. `jobs`: tables at a time."""

    path: Path
    manifest: Manifest | None
    programs: Path | None
    jobs: int
    privileges: bool = False
    """Whether what was granted to other roles is granted again; they must exist."""


@asynccontextmanager
async def engine_of(settings: DatabaseSettings, url: Secret, name: str) -> AsyncIterator[AsyncEngine]:
    """An engine on `url` that has time: what reads whole tables is not cut off."""
    unlimited = replace(settings, url=url, read_url=None, pool_size=_CONNECTIONS, statement_timeout=0, idle_timeout=0)
    engine = create_engine(unlimited, application_name=name)
    try:
        yield engine
    finally:
        await engine.dispose()


async def load(dump: Dump, url: Secret, engine: AsyncEngine, *, at_once: bool = False) -> None:
    """Load it into the empty database that `url` and `engine` name.

    `at_once`: in one transaction, so that nobody sees half of it; else several tables at a time.
    """
    version = await server_version(engine)
    program = await programs.find("pg_restore", dump.programs)
    how = ["--no-owner", *([] if dump.privileges else ["--no-privileges"])]
    how += ["--single-transaction"] if at_once else [f"--jobs={dump.jobs}"]
    if not programs.speaks_too_new(program, version):
        how.append("--exit-on-error")
    await programs.restore(program, url, version, *how, str(dump.path))
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text("ANALYZE"))  # a dump holds no statistics that plans could be made of


async def loads_at_once(dump: Dump, engine: AsyncEngine) -> bool:
    """Whether one transaction will do: not where pg_restore says what the server refuses, which would end it."""
    program = await programs.find("pg_restore", dump.programs)
    return not programs.speaks_too_new(program, await server_version(engine))


async def compare(dump: Dump, engine: AsyncEngine) -> None:
    """BackupError that names what differs from the manifest, and from the projects' own digests."""
    found = await contents.differences(engine, dump.manifest)
    if found:
        raise BackupError(f"{dump.path} was loaded and is not what was dumped", *found)


async def server_version(engine: AsyncEngine) -> str:
    """Such as 15.14."""
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        return str((await connection.execute(text("SELECT current_setting('server_version')"))).scalar_one())
