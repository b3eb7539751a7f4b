"""Documents that are taken by hundreds: the same copy comes of it as one by one."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import document as documents
from common.catalogue import Catalogue
from common.document import Document, DocumentError
from common.identifiers import ProjectId, UserId
from common.position import Position
from sidecar import packing
from sidecar.filling import Batch, Filling
from sidecar.pages import entries
from sidecar.replica import Copy
from tests.support.history import START, grant

SHOP = ProjectId("shop")


def document(user: str, rows: int, revision: int) -> bytes:
    """A document of so many rows."""
    found = tuple(grant(f"feature-{number}", ref="sub_1") for number in range(rows))
    return documents.encode(Document(UserId(user), SHOP, 7, revision, START, found))


def _tell(refused: list[str], error: DocumentError) -> None:
    refused.append(str(error))


in_batches = st.lists(
    st.tuples(st.sampled_from(["ada", "bob", "zoë", "ada lovelace"]), st.integers(1, 3), st.integers(1, 9)), max_size=20
)


@given(in_batches, st.integers(0, 40), st.integers(1, 7), st.booleans())
def test_documents_taken_in_batches_are_the_same_as_one_by_one(
    told: list[tuple[str, int, int]], room: int, size: int, named: bool
) -> None:
    """Some twice, some empty, some no documents, some under another name; with room for all, and without."""
    data = [document(user, rows, revision) for user, rows, revision in told]
    data += [document("nobody", 0, 9), b"{", document("eve", 1, 8)]
    names = [user.encode() for user, _, _ in told] + [b"nobody", b"ada", b"mallory"]
    copies = []
    for at_once in (size, None):
        copy, refused = Copy(SHOP, Catalogue(SHOP, 7, 1, 1, {}, {}), Position(7, 1), room), list[str]()
        filling = Filling(copy, partial(_tell, refused))
        with pytest.MonkeyPatch.context() as patch:
            if at_once is None:
                patch.setattr(packing, "_native", None)
            for start in range(0, len(data), at_once or len(data)):
                users, found = names[start:][: at_once or len(data)], data[start:][: at_once or len(data)]
                for _ in filling.take(Batch(users if named else [None] * len(users), list(found))):
                    pass
        assert copy.count == len(list(copy.records.pages)) == len(dict(entries(copy.records.pages.pages)))
        assert all(copy.records.pages.get(user) for user in copy.records.pages)
        stored = {user: copy.records.stored(user) for user in copy.records}
        copies.append((stored, copy.digest, copy.horizon, refused, filling.count))
    assert copies[0] == copies[1]
