"""How documents are held."""

from hypothesis import given
from hypothesis import strategies as st

from common.clock import Instant
from common.document import MAX_LIMIT, Document, Entitlement, Source
from common.identifiers import FeatureCode, ProjectId, UserId
from sidecar.records import Records

instants = st.integers(-(2**50), 2**53).map(Instant)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, MAX_LIMIT),
    texts,
    st.dictionaries(
        texts,
        st.one_of(st.none(), st.integers(0, 9), texts, st.floats(allow_nan=False, allow_infinity=False, width=32)),
    ),
)
rows = st.builds(
    Entitlement,
    st.sampled_from(["a", "b", "c"]).map(FeatureCode),
    st.sampled_from(Source),
    texts,
    instants,
    st.one_of(st.none(), instants),
    values,
)
documents = st.builds(
    Document,
    texts.filter(bool).map(UserId),
    st.just(ProjectId("shop")),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    instants,
    st.lists(rows, min_size=1, max_size=5).map(tuple),
)


@given(documents)
def test_a_held_document_comes_back_equal(document: Document) -> None:
    """Every document that can be written comes back as it was, with its rows in order."""
    records = Records(document.project_id)
    records.put(document)
    assert records.document(document.user_id) == document
    assert records.position(document.user_id) == document.position
    for code in ("a", "b", "none"):
        expected = tuple(row for row in document.entitlements if row.feature_code == code)
        assert records.rows(document.user_id, FeatureCode(code)) == expected


def test_an_empty_document_is_held_as_nothing() -> None:
    """A user whose last entitlement went takes no memory and is a miss."""
    records = Records(ProjectId("shop"))
    user = UserId("u")
    row = Entitlement(FeatureCode("a"), Source.MANUAL, "g", Instant(0), None, None)
    records.put(Document(user, ProjectId("shop"), 1, 1, Instant(0), (row,)))
    assert user in records
    records.put(Document(user, ProjectId("shop"), 1, 2, Instant(0), ()))
    assert user not in records
    assert len(records) == 0
    assert records.rows(user, FeatureCode("a")) is None
    assert records.document(user) is None
    assert records.position(user) is None
