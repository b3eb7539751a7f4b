"""Redis's replies, however they are cut on their way, with the native part or not."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from sidecar import replies
from sidecar.replies import Replies


@pytest.fixture(params=[True, False], ids=["native", "python"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading."""
    if not request.param:
        monkeypatch.setattr(replies, "_native", None)


def _bulk(string: bytes | None) -> bytes:
    return b"$-1\r\n" if string is None else b"$%d\r\n%b\r\n" % (len(string), string)


def _receiving(data: bytes, rng: Random) -> Callable[[int], bytes]:
    """Gives `data` in pieces of any size, then nothing."""

    def pieces() -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = rng.choice((1, 2, 3, 7, 40, 1_000))
            yield data[at : at + size]
            at += size

    source = pieces()
    return lambda _most: next(source, b"")


strings = st.lists(st.one_of(st.none(), st.binary(max_size=40), st.just(b"$3\r\nabc\r\n")), max_size=20)


@given(strings, st.randoms(use_true_random=False))
def test_strings_are_read_whole_wherever_they_were_cut(found: list[bytes | None], rng: Random) -> None:
    """Line ends and dollar signs in them, missing ones between them; what follows is left for the next reading."""
    data = b"".join(map(_bulk, found)) + b"*1\r\n$4\r\nlast\r\n"
    reading = Replies(_receiving(data, rng))
    assert reading.bulks(len(found)) == found
    assert reading.array() == [b"last"]


@given(strings, st.randoms(use_true_random=False))
def test_a_step_of_a_walk(found: list[bytes | None], rng: Random) -> None:
    """Where to go on, and the members that are there."""
    data = b"*2\r\n$3\r\n512\r\n*%d\r\n" % len(found) + b"".join(map(_bulk, found))
    assert Replies(_receiving(data, rng)).scan() == (b"512", [one for one in found if one is not None])


@pytest.mark.parametrize(
    "data", [b"-NOPERM no rights\r\n", b":7\r\n", b"$3\r\nabc\r\n-ERR no\r\n", b"+OK\r\n", b"*1\r\n$1\r\na\r\n"]
)
def test_what_is_no_string_is_refused(data: bytes) -> None:
    """A refusal in Redis's own words, or what it answers instead."""
    with pytest.raises(ResponseError):
        Replies(_receiving(data, Random(1))).bulks(2)


@pytest.mark.parametrize("data", [b"", b"$3", b"$3\r\nab", b"$3\r\nabc\r", b"$99999999999999999999\r\nabc\r\n"])
def test_a_connection_that_ends_early_is_told(data: bytes) -> None:
    """Half a string is none."""
    with pytest.raises(ConnectionError):
        Replies(_receiving(data, Random(1))).bulks(1)
