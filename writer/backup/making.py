"""A backup made: one snapshot of the database, dumped by pg_dump and described by its manifest, whole or not at all."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from common.settings import Secret
from writer import lineage
from writer.backup import contents, programs
from writer.backup import manifest as manifests
from writer.backup.errors import BackupError
from writer.backup.folder import Folder
from writer.backup.manifest import Contents, Manifest

LOCK: Final = 7_070_000_002
"""Any number, the same for every run. The lock is the database's: it holds wherever the folder is, and ends with its
holder's connection."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up, and by which pg_dump. `programs`: the folder of Postgres's programs; None: the path."""

    engine: AsyncEngine
    url: Secret
    programs: Path | None
    identity: str


@asynccontextmanager
async def alone(engine: AsyncEngine, url: Secret, folder: Path | None) -> AsyncIterator[Source]:
    """The database, until the block ends; BackupError where another backup of it is under way."""
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        if not (await connection.execute(_LOCK, {"lock": LOCK})).scalar_one():
            raise BackupError("another backup of this database is under way: nothing was done")
        try:
            yield Source(engine, url, folder, await lineage.identity(connection))
        finally:
            await connection.execute(_UNLOCK, {"lock": LOCK})


def folder_of(path: Path, source: Source) -> Folder:
    """The source's backups in `path`; it is opened, and what killed runs left is removed."""
    folder = Folder(path.absolute(), make_url(source.url.reveal()).database or "postgres", source.identity)
    folder.open()
    folder.clean(time.time())
    return folder


async def make(source: Source, folder: Folder) -> tuple[Path, Manifest]:
    """Dump the database as it is now; the dump and its manifest, both in place and flushed to the disk."""
    partial: Path | None = None
    reading = source.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    try:
        async with reading.connect() as connection:
            snapshot = (await connection.execute(_EXPORT)).scalar_one()
            held = await contents.read(connection, source.identity)
            program = await programs.for_server("pg_dump", source.programs, held.server_version)
            folder.need_room((await connection.execute(_SIZE)).scalar_one())
            partial, final = folder.partial(held.read_at), folder.final(held.read_at)
            partial.touch(mode=0o600)  # it holds people's data
            how = ("--format=custom", f"--snapshot={snapshot}", f"--file={partial}")
            await programs.run(program, source.url, *how)
        manifest = await asyncio.to_thread(_described, partial, final, program.version, held)
        _put_in_place(partial, final, manifest)
    except OSError as error:
        raise BackupError(f"the backup was not made: {error.strerror or error}") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
    return final, manifest


def _put_in_place(partial: Path, final: Path, manifest: Manifest) -> None:
    # The manifest first: what bears a backup's name has one.
    manifests.write(manifest, manifests.beside(final))
    try:
        partial.rename(final)
    except OSError:
        manifests.beside(final).unlink(missing_ok=True)
        raise
    manifests.sync_folder(folder=final.parent)


def _described(partial: Path, final: Path, dumped_by: str, held: Contents) -> Manifest:
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    size, sha256 = partial.stat().st_size, manifests.sha256_of(partial)
    return Manifest(manifests.VERSION, final.name, size, sha256, dumped_by, held)


_LOCK: Final = text("SELECT pg_try_advisory_lock(:lock)")
_UNLOCK: Final = text("SELECT pg_advisory_unlock(:lock)")
_EXPORT: Final = text("SELECT pg_export_snapshot()")
_SIZE: Final = text("""
SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
""")
