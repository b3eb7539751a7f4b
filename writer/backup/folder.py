"""The folder of backups: what is whole there, what a killed run left, what is old enough to go, and if there is room.

A folder may be a volume that several machines share, so nothing here rests on locks of files. Who works on the backups
of a database holds a lock in that database, and touches only what bears the database's own mark.
"""

import hashlib
import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from writer.backup import manifest as manifests
from writer.backup.errors import BackupError
from writer.backup.manifest import DUMP, PARTIAL, Manifest

_FORGOTTEN_AFTER: Final = timedelta(days=1)
"""A dump under way is written to all the time: a partial file of whomever, untouched for so long, is nobody's."""
_COMPRESSED: Final = 4
"""A first dump is taken to need this part of what the tables take; the next ones are judged by the last one."""
_HEADROOM: Final = 1.2


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole backup in the folder."""

    dump: Path
    manifest: Manifest


class Folder:
    """The backups of one database in one folder."""

    def __init__(self, path: Path, database: str, identity: str) -> None:
        self.path = path
        self._database = database
        self._home = home_of(identity)
        self._mark = hashlib.sha256(self._home.encode()).hexdigest()[:12]

    def open(self) -> None:
        """Make it where it is missing; BackupError where nothing can be written there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".{self._mark}.probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise BackupError(f"{self.path} cannot be written to: {error.strerror}") from error

    def partial(self, at: datetime) -> Path:
        """Where a dump is written until it is whole."""
        return self.path / f".{manifests.stem(self._database, at)}.{self._mark}{PARTIAL}"

    def final(self, at: datetime) -> Path:
        """Where it stands then."""
        stem = manifests.stem(self._database, at)
        names = (f"{stem}{'' if number == 1 else f'-{number}'}{DUMP}" for number in itertools.count(1))
        return next(path for path in map(self.path.joinpath, names) if not path.exists())

    def clean(self, now: float) -> list[Path]:
        """Remove what killed runs left behind; what was removed. `now`: Unix seconds."""
        return [path for path in self._leftovers(now) if _removed(path)]

    def kept(self) -> list[Kept]:
        """The whole backups of databases of this name, the newest first. What cannot be read is none, and stays."""
        found = []
        for dump in self.path.glob(f"*{DUMP}"):
            with suppress(BackupError, OSError):
                manifest = manifests.read(dump)
                if (
                    manifest is not None
                    and manifest.contents.database == self._database
                    and manifest.size == dump.stat().st_size
                ):
                    found.append(Kept(dump, manifest))
        return sorted(found, key=lambda one: one.manifest.made_at, reverse=True)

    def need_room(self, tables_size: int) -> None:
        """BackupError where the next dump will hardly find room. `tables_size`: bytes in the database."""
        last = next(iter(self.kept()), None)
        expected = tables_size // _COMPRESSED if last is None else round(last.manifest.size * _HEADROOM)
        free = shutil.disk_usage(self.path).free
        if free < expected:
            why = (
                f"the tables take {mib(tables_size)}" if last is None else f"the last one has {mib(last.manifest.size)}"
            )
            raise BackupError(
                f"{self.path} has {mib(free)} free, a backup may need {mib(expected)} ({why}): nothing was done"
            )

    def prune(self, newest: Manifest, keep: timedelta) -> Sequence[Path]:
        """Remove what is older than `keep` before the newest one; the last one of each database stays, however old."""
        gone = []
        seen = {home_of(newest.contents.identity)}
        for one in self.kept():
            home = home_of(one.manifest.contents.identity)
            old = newest.made_at - one.manifest.made_at > keep
            if home in seen and old and one.manifest.file != newest.file:
                # The dump first: a manifest without its dump is a leftover, which the next run removes.
                one.dump.unlink(missing_ok=True)
                manifests.beside(one.dump).unlink(missing_ok=True)
                gone.append(one.dump)
            seen.add(home)
        return gone

    def _leftovers(self, now: float) -> Iterator[Path]:
        for path in self.path.glob(f".*{PARTIAL}"):
            with suppress(OSError):
                ours = path.name.endswith(f".{self._mark}{PARTIAL}")
                if ours or now - path.stat().st_mtime > _FORGOTTEN_AFTER.total_seconds():
                    yield path
        for path in self.path.glob(f"{manifests.stem_prefix(self._database)}*.json"):
            with suppress(BackupError):
                dump = path.with_suffix(DUMP)
                manifest = manifests.read(dump)
                if manifest is not None and home_of(manifest.contents.identity) == self._home and not dump.exists():
                    yield path


def home_of(identity: str) -> str:
    """Cluster and database: what stays when a replica takes over, which begins a new timeline."""
    cluster, _, rest = identity.partition(":")
    return f"{cluster}:{rest.rpartition(':')[2]}"


def mib(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1024**2:,.1f} MiB"


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
