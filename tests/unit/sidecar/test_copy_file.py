"""A copy as a file: what is read is what was written, or it is refused."""

import io
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.clock import SECOND, Instant
from common.identifiers import ProjectId, UserId
from sidecar import copy_file
from sidecar.copy_file import CopyFileError, Head, Refusal, grant_lines
from sidecar.disk import Disk, Saved
from sidecar.replica import Copy
from tests.support.history import PROJECT, START, History, grant

ROOT = Path(__file__).resolve().parents[3]


def committed(users: int) -> History:
    """A project with so many users."""
    history = History()
    for number in range(users):
        history.change(f"ürsula-{number}", grant(), grant("seats", number % 7, valid_to=START + number * SECOND))
    return history


def filled(users: int = 40) -> Copy:
    """A copy of a small project."""
    history = committed(users)
    copy = Copy(PROJECT, history.catalogue, history.position)
    for document in history.documents.values():
        copy.hold(document)
    copy.compare(history.position, history.count, history.digest)
    return copy


def contents(copy: Copy) -> tuple[Head, list[list[Any]], list[bytes]]:
    """What is saved of it."""
    grants, pages = list(copy.records.grants.listed), list(copy.records.pages.pages)
    head = Head(
        copy.project,
        copy.position,
        copy.count,
        copy.digest,
        copy.complete,
        Instant(START + 1),
        2.5,
        copy.catalogue,
        len(pages),
        grant_lines(grants),
    )
    return head, grants, pages


def written(copy: Copy) -> bytes:
    """The file's bytes."""
    file = io.BytesIO()
    copy_file.write(file, *contents(copy))
    return file.getvalue()


def refusal(path: Path) -> Refusal:
    """Why the file is not taken."""
    with pytest.raises(CopyFileError) as refused:
        copy_file.read(path, PROJECT)
    assert str(path) in str(refused.value)
    return refused.value.refusal


def test_a_copy_comes_back_as_it_was(tmp_path: Path) -> None:
    """Documents, catalogue, position, digest, proof and times."""
    copy = filled(5_000)  # more than one piece of pages
    path = tmp_path / "shop.copy"
    path.write_bytes(written(copy))
    found = copy_file.read(path, PROJECT)
    assert found is not None
    assert found.head == contents(copy)[0]
    back = Copy.restored(
        PROJECT, found.head.catalogue, found.head.position, found.grants, found.pages, found.head.count
    )
    assert back.count == copy.count == 5_000
    assert {user: back.document(user) for user in back.records} == {user: copy.document(user) for user in copy.records}


def test_an_empty_project_comes_back(tmp_path: Path) -> None:
    """Nobody holds anything: that is a copy, too."""
    path = tmp_path / "shop.copy"
    path.write_bytes(written(filled(0)))
    found = copy_file.read(path, PROJECT)
    assert found is not None
    assert found.head.count == 0
    assert copy_file.read(tmp_path / "none.copy", PROJECT) is None


WHOLE = written(filled(9))


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """At every byte."""
    path = tmp_path / "shop.copy"
    for length in range(len(WHOLE)):
        path.write_bytes(WHOLE[:length])
        assert refusal(path) is Refusal.TORN, length
    path.write_bytes(WHOLE + b"\n")
    assert refusal(path) is Refusal.TORN


def test_a_file_with_any_byte_changed_is_refused(tmp_path: Path) -> None:
    """Every byte of it, each with another bit turned over."""
    path = tmp_path / "shop.copy"
    for at in range(len(WHOLE)):
        path.write_bytes(WHOLE[:at] + bytes([WHOLE[at] ^ 1 << at % 8]) + WHOLE[at + 1 :])
        refusal(path)


@given(st.data())
def test_spoiled_files_are_refused_whatever_was_done_to_them(data: st.DataObject) -> None:
    """Pieces taken out, doubled, put in: refused with a message, and by no other error."""
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, len(WHOLE)))
    put = data.draw(st.one_of(st.binary(max_size=9), st.just(WHOLE[start:end] * 2), st.just(b"9" * (end - start))))
    spoiled = WHOLE[:start] + put + WHOLE[end:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.copy"
        path.write_bytes(spoiled)
        if spoiled != WHOLE:
            refusal(path)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (b"%PDF-1.7\nsomething else", Refusal.FOREIGN),
        (WHOLE.replace(b"copy 1\n", b"copy 2\n", 1), Refusal.FUTURE_VERSION),
        (WHOLE.replace(b'"project_id":"shop"', b'"project_id":"shot"', 1), Refusal.FOREIGN),
        (b"", Refusal.TORN),
    ],
)
def test_what_is_not_ours_is_told_apart(file: bytes, expected: Refusal, tmp_path: Path) -> None:
    """Something else, a newer version's, another project's, nothing at all."""
    path = tmp_path / "shop.copy"
    path.write_bytes(file)
    assert refusal(path) is expected


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    """What the system does not let us read is told with its reason."""
    (tmp_path / "shop.copy").mkdir()
    assert refusal(tmp_path / "shop.copy") is Refusal.UNREADABLE


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
    disk = Disk(tmp_path)
    disk.path(PROJECT).write_bytes(WHOLE[:-1])
    with pytest.raises(CopyFileError, match=r"torn.*moved to shop\.copy\.refused"):
        disk.read(PROJECT)
    assert disk.read(PROJECT) is None
    assert (tmp_path / "shop.copy.refused").read_bytes() == WHOLE[:-1]


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
from tests.unit.sidecar import test_copy_file as these
from sidecar.disk import Disk
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
        disk.save(*these.contents(these.filled(50)))
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
            disk.save(*these.contents(these.filled(500)))
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
            assert disk.read(these.PROJECT).head.count == 5
            try:
                disk.read(these.ProjectId("notes"))
            except these.CopyFileError as error:
                assert error.refusal is these.Refusal.FOREIGN
            try:
                disk.save(*these.contents(these.filled(6)))
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
            disk.save(*these.contents(these.filled(users)))
            found = disk.read(these.PROJECT)
            assert found is not None and found.head.count >= users
    """
    source = textwrap.dedent(SAVING).format(root=str(ROOT)) + textwrap.dedent(code)
    both = [subprocess.Popen([sys.executable, "-c", source, str(tmp_path)], cwd=ROOT) for _ in range(2)]
    assert [process.wait(50) for process in both] == [0, 0]
    found = Disk(tmp_path).read(PROJECT)
    assert found is not None
    assert found.head.count == 59
    assert len(os.listdir(tmp_path)) == 1  # noqa: PTH208 - names are enough


def test_a_user_is_found_in_a_restored_copy_after_it_has_grown(tmp_path: Path) -> None:
    """A copy out of a file is changed and grows like any other."""
    path = tmp_path / "shop.copy"
    path.write_bytes(WHOLE)
    found = copy_file.read(path, PROJECT)
    assert found is not None
    copy = Copy.restored(
        PROJECT, found.head.catalogue, found.head.position, found.grants, found.pages, found.head.count
    )
    copy.digest = found.head.digest
    history = committed(9)
    for number in range(200):
        copy.apply(history.change(f"late-{number}", grant("pro", ref=f"sub_{number}")))
    copy.apply(history.change("ürsula-3"))
    assert (copy.count, copy.digest, copy.position) == (history.count, history.digest, history.position)
    assert copy.document(UserId("ürsula-3")) is None
