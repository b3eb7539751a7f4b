"""The manifest: what stands in a backup, written beside it, so that it can be checked without trusting the dump."""

import hashlib
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from writer.backup.errors import BackupError

VERSION: Final = 1
DUMP: Final = ".dump"
PARTIAL: Final = ".partial"
"""What is written aside ends with this."""
_MANIFEST: Final = ".json"
_PLAIN: Final = b"--\n-- PostgreSQL database dump"
_CUSTOM: Final = b"PGDMP"
_PIECE: Final = 1024 * 1024


class ProjectStanding(msgspec.Struct, frozen=True):
    """Where a project stood. `digest`: 32 hexadecimal digits, over all of its documents."""

    project: str
    epoch: int
    revision: int
    users: int
    digest: str


class Contents(msgspec.Struct, frozen=True):
    """What a database held at one moment."""

    read_at: datetime
    """By the database's clock."""
    server_version: str
    schema_revision: str | None
    """Of our migrations; None: there is no schema of ours."""
    database: str
    identity: str
    """Cluster, timeline and database, as in the table lineage."""
    tables: dict[str, int]
    """Rows of each."""
    projects: tuple[ProjectStanding, ...]


class Manifest(msgspec.Struct, frozen=True):
    """A backup. `file` is its name, `size` in bytes."""

    version: int
    file: str
    size: int
    sha256: str
    dumped_by: str
    """pg_dump's version."""
    contents: Contents
    verified_at: datetime | None = None
    """When it was last loaded into a scratch database and found equal."""

    @property
    def made_at(self) -> datetime:
        """The moment that it shows."""
        return self.contents.read_at


def beside(dump: Path) -> Path:
    """Where the manifest of a dump stands."""
    return dump.with_suffix(_MANIFEST)


def read(dump: Path) -> Manifest | None:
    """A dump's manifest; None where there is none. BackupError where it cannot be read, or is of a newer release."""
    path = beside(dump)
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupError(f"{path} is no manifest of a backup: {error}") from error
    if manifest.version > VERSION:
        raise BackupError(f"{path} was written by a newer release: use that one")
    return manifest


def write(manifest: Manifest, path: Path) -> None:
    """Write it, flushed to the disk, in place at one stroke."""
    aside = path.with_name(f".{path.name}{PARTIAL}")
    with aside.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """See to it that renamed files are found under their names after a loss of power, too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sha256_of(path: Path) -> str:
    """A file's SHA-256, as sha256sum prints it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def stem_prefix(database: str) -> str:
    """What the names of all backups of a database begin with."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", database) + "-"


def stem(database: str, at: datetime) -> str:
    """A backup's name without its ending, such as billing_db-20261129T020000Z; it sorts by time."""
    return f"{stem_prefix(database)}{at:%Y%m%dT%H%M%SZ}"


def examine(dump: Path) -> Manifest | None:
    """The manifest of a file that is a whole dump in pg_dump's custom format; BackupError where it is not."""
    try:
        with dump.open("rb") as file:
            head = file.read(len(_PLAIN))
        size = dump.stat().st_size
    except OSError as error:
        raise BackupError(f"{dump} cannot be read: {error.strerror}") from error
    if head.startswith(_PLAIN):
        raise BackupError(
            f"{dump} is a plain dump of SQL: load it into an empty database with "
            "psql -1 -v ON_ERROR_STOP=1, see docs/backups.md"
        )
    if not head.startswith(_CUSTOM):
        raise BackupError(f"{dump} is no dump of Postgres's in the custom format, as billing backup makes it")
    manifest = read(dump)
    if manifest is None:
        return None
    if manifest.size != size:
        raise BackupError(f"{dump} has {size} bytes, its manifest says {manifest.size}: it was cut, or is another one")
    if manifest.sha256 != sha256_of(dump):
        raise BackupError(f"{dump} is not what was written: its SHA-256 differs from its manifest's")
    return manifest
