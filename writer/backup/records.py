"""What the database itself knows of its backups: for Prometheus, and so that somebody sees it without the folder."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from writer.backup.manifest import Manifest
from writer.operations import audit
from writer.operations.audit import Act, Actor

_NO_SUCH_TABLE: Final = "42P01"


async def note(engine: AsyncEngine, manifest: Manifest) -> bool:
    """Write down that a backup was made, or was verified since; False where the schema has no place for it yet."""
    parameters = {
        "made_at": manifest.made_at,
        "file": manifest.file,
        "size": manifest.size,
        "sha256": manifest.sha256,
        "schema_revision": manifest.contents.schema_revision,
        "verified_at": manifest.verified_at,
    }
    try:
        async with engine.begin() as connection:
            await connection.execute(_NOTE, parameters)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_SUCH_TABLE:
            raise
        return False
    return True


async def note_restore(engine: AsyncEngine, actor: Actor, file: str, manifest: Manifest | None) -> None:
    """Write into the audit log of what was restored that it was; where it has one."""
    after = None if manifest is None else {"made_at": f"{manifest.made_at:%Y-%m-%dT%H:%M:%SZ}"}
    try:
        async with engine.begin() as connection:
            await audit.record(connection, actor, Act("database.restore", None, f"backup:{file}", after=after))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_SUCH_TABLE:
            raise


_NOTE: Final = text("""
INSERT INTO backups (made_at, file, size, sha256, schema_revision, verified_at)
VALUES (:made_at, :file, :size, :sha256, :schema_revision, :verified_at)
ON CONFLICT (sha256) DO UPDATE SET verified_at = coalesce(excluded.verified_at, backups.verified_at)
""")
