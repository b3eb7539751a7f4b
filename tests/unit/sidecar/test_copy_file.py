"""A copy as a file: what is read is what was written, or it is refused."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.identifiers import UserId
from sidecar import copy_file
from sidecar.copy_file import CopyFileError, Refusal
from sidecar.replica import Copy
from tests.support.copies import committed, contents, filled, written
from tests.support.history import PROJECT, grant

WHOLE = written(filled(9))


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
        (WHOLE.replace(b"copy 2\n", b"copy 3\n", 1), Refusal.OTHER_VERSION),
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
