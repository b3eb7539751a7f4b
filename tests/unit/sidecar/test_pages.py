"""How records share pages."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.pages import PER_PAGE, Pages, entries

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4).map(str.encode)
acts = st.lists(st.tuples(keys, st.one_of(st.none(), keys)), max_size=200)


@given(acts, st.integers(0, 40))
def test_pages_behave_as_a_dict(told: list[tuple[bytes, bytes | None]], room: int) -> None:
    """Whatever is put and removed, in whatever order and with whatever room, pages hold what a dict would hold."""
    pages, expected = Pages.with_room(room), dict[bytes, bytes]()
    for key, record in told:
        if record is None:
            assert pages.remove(key) == (expected.pop(key, None) is not None)
        else:
            pages.put(key, record)
            expected[key] = record
    assert dict(entries(pages.pages)) == expected
    assert sorted(pages) == sorted(expected)
    assert pages.count == len(expected)
    for key, _ in told:
        assert pages.get(key) == expected.get(key)
        assert (key in pages) == (key in expected)


def test_pages_grow_one_at_a_time_and_stay_small() -> None:
    """However many come, a page holds few, and each insert changes at most three of them."""
    pages = Pages()
    for number in range(20_000):
        before = list(pages.pages)
        pages.put(b"user-%d" % number, b"record")
        if number % 997 == 0:
            changed = sum(a is not b for a, b in zip(before, pages.pages, strict=False))
            assert changed + len(pages.pages) - len(before) <= 3
    assert len(pages.pages) == 20_000 / PER_PAGE
    assert max(page.count(b"\xfe") for page in pages.pages) < 5 * PER_PAGE


def test_what_a_record_says_is_never_taken_for_a_key() -> None:
    """A user who is named like another user's record, or part of it, holds nothing of it."""
    pages = Pages()
    pages.put(b"ada", b'[1,2,"bob"]')
    for stranger in (b'[1,2,"bob"]', b"bob", b"ad", b"da", b'"bob"]'):
        assert pages.get(stranger) is None
        assert not pages.remove(stranger)
    assert pages.get(b"ada") == b'[1,2,"bob"]'


def test_a_copy_of_the_list_keeps_its_state() -> None:
    """What was taken as a list of pages does not change with what comes later."""
    pages = Pages()
    pages.put(b"ada", b"1")
    taken = list(pages.pages)
    pages.put(b"ada", b"2")
    pages.put(b"bob", b"3")
    assert dict(entries(taken)) == {b"ada": b"1"}
