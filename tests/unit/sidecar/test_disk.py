"""A folder of copies: what stands there is whole, whoever is killed, however full the disk is, whoever else saves."""

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from common.identifiers import ProjectId
from sidecar.copy_file import CopyFileError
from sidecar.disk import Disk, Saved
from tests.support.copies import contents, filled, written
from tests.support.history import PROJECT

ROOT = Path(__file__).resolve().parents[3]


def test_a_saved_file_is_for_its_process_alone_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """Permissions 0600; nothing half written stays."""
    disk = Disk(tmp_path / "copies")
    disk.prepare()
    assert disk.save(*contents(filled())) is Saved.SAVED
    (file,) = (tmp_path / "copies").iterdir()
    assert file == disk.path(PROJECT)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert disk.read(PROJECT) is not None


def test_a_refused_file_is_moved_aside(tmp_path: Path) -> None:
    """It can be looked at, and is not met again."""
    disk, torn = Disk(tmp_path), written(filled(9))[:-1]
    disk.path(PROJECT).write_bytes(torn)
    with pytest.raises(CopyFileError, match=r"torn.*moved to shop\.copy\.refused"):
        disk.read(PROJECT)
    assert disk.read(PROJECT) is None
    assert (tmp_path / "shop.copy.refused").read_bytes() == torn


def test_an_older_copy_never_takes_a_newer_ones_place(tmp_path: Path) -> None:
    """Two processes with one folder: who is behind passes his turn."""
    disk, other = Disk(tmp_path), Disk(tmp_path)
    behind, ahead = filled(5), filled(6)
    assert disk.save(*contents(ahead)) is Saved.SAVED
    assert other.save(*contents(behind)) is Saved.NEWER_THERE
    found = disk.read(PROJECT)
    assert found is not None
    assert found.head.position == ahead.position
    assert [file.name for file in tmp_path.iterdir()] == ["shop.copy"]


def test_what_a_killed_process_left_is_taken_away_and_a_living_ones_is_not(tmp_path: Path) -> None:
    """A half written file is known by nobody's holding it."""
    (tmp_path / "shop.copy.dead.part").write_bytes(b"half")
    disk = Disk(tmp_path)
    with disk._aside(disk.path(ProjectId("notes"))) as (_, living):
        Disk(tmp_path).prepare()
        assert list(tmp_path.iterdir()) == [living]


SAVING = """
import os, resource, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from common.identifiers import ProjectId
from sidecar.copy_file import CopyFileError, Refusal
from sidecar.disk import Disk
from tests.support.copies import contents, filled
from tests.support.history import PROJECT
folder = Path(sys.argv[1])
disk = Disk(folder)
"""


def child(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own that saves."""
    source = textwrap.dedent(SAVING).format(root=str(ROOT)) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", source, str(folder)], capture_output=True, text=True, check=False, timeout=50, cwd=ROOT
    )


def test_a_process_killed_in_mid_write_harms_nothing(tmp_path: Path) -> None:
    """The file is the one before, and its leftover goes with the next start."""
    disk = Disk(tmp_path)
    disk.save(*contents(filled(5)))
    before = disk.path(PROJECT).read_bytes()
    done = child(
        """
        import signal
        from sidecar import copy_file
        def half(file, head, grants, pages):
            file.write(b"half of it")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        copy_file.write = half
        disk.save(*contents(filled(50)))
        """,
        tmp_path,
    )
    assert done.returncode == -9, done.stderr
    assert len(list(tmp_path.iterdir())) == 2
    disk.prepare()
    assert [file.name for file in tmp_path.iterdir()] == ["shop.copy"]
    assert disk.path(PROJECT).read_bytes() == before


def test_a_full_disk_harms_nothing(tmp_path: Path) -> None:
    """What cannot be written whole is not written at all."""
    disk = Disk(tmp_path)
    disk.save(*contents(filled(5)))
    before = disk.path(PROJECT).read_bytes()
    done = child(
        """
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            disk.save(*contents(filled(500)))
        except OSError as error:
            sys.exit(33)
        """,
        tmp_path,
    )
    assert done.returncode == 33, done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["shop.copy"]
    assert disk.path(PROJECT).read_bytes() == before


def test_a_folder_that_may_only_be_read_is_still_read(tmp_path: Path) -> None:
    """Saving fails with the system's word; the copy that is there is taken, and a refused one stays."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # one that every user can reach
        folder = Path(name)
        Disk(folder).save(*contents(filled(5)))
        (folder / "notes.copy").write_bytes(b"nothing of ours")
        for file in folder.iterdir():
            file.chmod(0o644)
        folder.chmod(0o555)
        done = child(
            """
            if os.geteuid() == 0:
                os.seteuid(65534)  # root may write anywhere
            disk.prepare()
            assert disk.read(PROJECT).head.count == 5
            try:
                disk.read(ProjectId("notes"))
            except CopyFileError as error:
                assert error.refusal is Refusal.FOREIGN
            try:
                disk.save(*contents(filled(6)))
            except PermissionError:
                sys.exit(33)
            """,
            folder,
        )
        folder.chmod(0o700)
        assert done.returncode == 33, done.stderr
        assert sorted(file.name for file in folder.iterdir()) == ["notes.copy", "shop.copy"]


def test_two_processes_save_into_one_folder(tmp_path: Path) -> None:
    """However they meet, what stands there is always whole, and in the end the newest."""
    code = """
        for users in range(1, 60):
            disk.save(*contents(filled(users)))
            found = disk.read(PROJECT)
            assert found is not None and found.head.count >= users
    """
    source = textwrap.dedent(SAVING).format(root=str(ROOT)) + textwrap.dedent(code)
    both = [subprocess.Popen([sys.executable, "-c", source, str(tmp_path)], cwd=ROOT) for _ in range(2)]
    assert [process.wait(50) for process in both] == [0, 0]
    found = Disk(tmp_path).read(PROJECT)
    assert found is not None
    assert found.head.count == 59
    assert len(os.listdir(tmp_path)) == 1  # noqa: PTH208 - names are enough
