"""The folder of `SIDECAR_SNAPSHOT_DIR`: a file for each project's copy, always whole. Blocking; for a thread.

Several sidecars may share a folder. Each writes aside, under a name of its own that it holds locked, and replaces the
file at one stroke, unless a newer copy stands there. What a killed process left half written nobody holds locked.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

from common.identifiers import ProjectId
from sidecar import copy_file
from sidecar.copy_file import Contents, CopyFileError, Head, Refusal

_log = logging.getLogger(__name__)

_ENDING: Final = ".copy"
_PART: Final = ".part"
_REFUSED: Final = ".refused"


class Saved(StrEnum):
    """What became of saving."""

    SAVED = "saved"
    NEWER_THERE = "newer_there"
    """Another process has saved a newer copy."""


class Disk:
    """Copies of all projects in one folder. OSError where the system refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._saving = threading.Lock()

    def prepare(self) -> None:
        """Make the folder, for us alone; take away what killed processes left half written."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._folder.glob(f"*{_ENDING}.*{_PART}"):
            with contextlib.suppress(OSError), part.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its writer lives
                part.unlink()

    def path(self, project: ProjectId) -> Path:
        """Where a project's copy stands."""
        return self._folder / f"{project}{_ENDING}"

    def read(self, project: ProjectId) -> Contents | None:
        """The project's copy; None where there is none.

        Raises:
            CopyFileError: there is a file that may not be taken. It was moved aside to be looked at, where that can be.
        """
        path = self.path(project)
        try:
            return copy_file.read(path, project)
        except CopyFileError as error:
            if error.refusal is Refusal.UNREADABLE:
                raise
            aside = path.with_name(path.name + _REFUSED)
            try:
                path.replace(aside)
            except OSError:
                raise error from None  # it stays; the next copy that is saved takes its place
            raise CopyFileError(error.refusal, f"{error}; moved to {aside.name}") from error

    def save(self, head: Head, grants: list[list[Any]], pages: list[bytes]) -> Saved:
        """Put a copy in place of the one before, unless that is newer; `pages` is emptied on the way."""
        path = self.path(head.project)
        with self._saving, self._aside(path) as (file, aside):
            copy_file.write(file, head, grants, pages)
            file.flush()
            os.fsync(file.fileno())
            with self._folder_locked() as folder:  # or another process puts a newer one there while we look
                held = copy_file.read_position(path, head.project)
                if held is not None and held > head.position:
                    return Saved.NEWER_THERE
                aside.replace(path)
                os.fsync(folder)
        return Saved.SAVED

    @contextlib.contextmanager
    def _aside(self, path: Path) -> Iterator[tuple[BinaryIO, Path]]:
        """A locked file beside `path`, readable by nobody else; gone afterwards unless it was renamed."""
        number, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=_PART, dir=self._folder)
        aside = Path(name)
        try:
            with open(number, "wb") as file:  # noqa: PTH123 - a descriptor has no path to open
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield file, aside
        finally:
            aside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _folder_locked(self) -> Iterator[int]:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(folder)
