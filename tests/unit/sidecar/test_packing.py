"""Documents packed straight from their bytes: the same as read in the ordinary way, or refused alike."""

import json
import shutil
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common import document as documents
from common.clock import TimeError, parse_time
from common.document import Document, DocumentError, digest_of
from common.identifiers import ProjectId, UserId
from sidecar import packing
from sidecar.instants import DoubtError, Instants
from sidecar.packing import Entry, Packer
from sidecar.records import Grants, Records
from tests.support.history import START, grant

SHOP = ProjectId("shop")

texts = st.text(max_size=12)
odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(allow_nan=False),
    texts,
    st.lists(st.integers(), max_size=2),
    st.dictionaries(texts, st.one_of(st.none(), st.integers(-(2**64), 2**70), st.floats(allow_nan=False)), max_size=2),
)
written_times = st.one_of(
    st.sampled_from(
        [
            "2026-11-22T17:28:27Z",
            "2026-11-22T17:28:27.000001Z",
            "2026-11-22T17:28:27.5Z",
            "2026-11-22T17:28:27+02:00",
            "2026-11-22T23:59:60Z",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "2026-11-22 17:28:27Z",
            "2026-11-22T17:28:27",
            "2026-11-22T17:28:27.00000Z1",
            "2026-11-22T17:28:27.+1234Z5",
            "2026-11-22T17:28:27.1_345Z",
            "2026-11-22T17:28:27.١٢٣٤٥٦Z",  # noqa: RUF001 - digits of another script
            "",
        ]
    ),
    texts,
)
written_rows = st.fixed_dictionaries(
    {
        "feature_code": st.one_of(st.sampled_from(["pro", "seats"]), texts),
        "source": st.sampled_from(["subscription", "purchase", "manual", "default", ""]),
        "source_ref": st.one_of(texts, odd),
        "valid_from": written_times,
        "valid_to": st.one_of(st.none(), written_times),
        "value": odd,
    },
    optional={"more": odd},
)
written_documents = st.fixed_dictionaries(
    {
        "user_id": st.one_of(texts, st.just("u" * 256), odd),
        "project_id": st.sampled_from(["shop", "shop", "other", ""]),
        "epoch": st.one_of(st.integers(-1, 9), odd),
        "revision": st.one_of(st.integers(0, 2**65), odd),
        "computed_at": written_times,
        "entitlements": st.lists(written_rows, max_size=3),
    },
    optional={"more": odd},
)


def ordinary(data: bytes) -> Document | None:
    """What the ordinary reader makes of it, for this project; None where it refuses."""
    try:
        document = documents.decode(data)
    except DocumentError:
        return None
    return document if document.project_id == SHOP else None


def assert_alike(data: bytes) -> None:
    """Packed, the document comes back as the ordinary reader reads it, or both refuse; with the native part or not."""
    natively = assert_packed(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_native", None)
        assert assert_packed(data) == natively


def assert_packed(data: bytes) -> Entry | None:
    """The same in one way."""
    entry: Entry | None = None
    records = Records(SHOP)
    packer = Packer(SHOP, records.grants)
    expected = ordinary(data)
    for _ in range(2):  # what was remembered the first time makes no difference
        if expected is None:
            with pytest.raises(DocumentError):
                packer.pack(data)
            continue
        entry = packer.pack(data)
        user = UserId(entry.user.decode())
        assert (user, entry.position, entry.digest) == (expected.user_id, expected.position, digest_of(expected))
        assert bool(entry.record) == bool(expected.entitlements)
        if entry.record:
            records.pages.put(entry.user, entry.record)
            assert records.document(user) == expected
    return entry


@given(written_documents)
def test_what_is_written_in_any_way_is_read_as_ordinarily(written: dict[str, Any]) -> None:
    """Odd members, numbers, times and names are accepted and refused as ever."""
    assert_alike(json.dumps(written, ensure_ascii=False).encode())


GOOD = documents.encode(
    Document(UserId("zoë"), SHOP, 7, 9, parse_time("2026-11-22T17:28:27.123456Z"), (grant(), grant("seats", 5)))
)


@given(st.data())
def test_spoiled_bytes_are_refused_or_read_as_ordinarily(data: st.DataObject) -> None:
    """Whatever is cut out of a document's bytes, or put into them, makes no difference between the two readers."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 8)))
    put = data.draw(
        st.one_of(st.binary(max_size=3), st.sampled_from([b"\\ud800", b"\\udc00", b"1.0", b"e1", b"-", b"\xff"]))
    )
    assert_alike(GOOD[:start] + put + GOOD[end:])


@pytest.mark.parametrize(
    "data",
    [
        GOOD,
        GOOD.replace(b'"epoch":7', b'"epoch":7,"epoch":8'),
        GOOD.replace(b'"value":null', b'"value":"\xff","value":null'),
        GOOD.replace(b'"value":null', b'"value":' + b"[" * 600 + b"]" * 600),
        GOOD.replace(b'"value":null', b'"value":' + b'{"a":' * 1023 + b"1" + b"}" * 1023),
        GOOD.replace(b'"value":null', b'"value": {"b": 1.50, "a": 12345678901234567890123}'),
        GOOD.replace(b'"value":5', b'"value":"\\ud83d\\ude00"'),
        GOOD.replace(b'"revision":9', b'"revision":18446744073709551616'),
        GOOD.replace(b'"revision":9', b'"revision":9.0'),
        GOOD.replace("zoë".encode(), b"a\\u00a0b"),
        b"\xef\xbb\xbf" + GOOD,
        b" " + GOOD + b"\n",
        GOOD + b"x",
        b"x" * (documents.MAX_DOCUMENT_BYTES + 1),
        b"",
    ],
)
def test_known_oddities_make_no_difference(data: bytes) -> None:
    """Doubled members, bad text, deep nesting, large numbers, marks before and after."""
    assert_alike(data)


@given(st.text(min_size=11, max_size=11), st.text(min_size=6, max_size=6), st.text(min_size=2, max_size=2))
@example("2026-11-22T", "17:28:", "27")
@example("2026-02-30T", "17:28:", "27")
@example("2026-11-22T", "24:00:", "00")
@example("2026-11-22T", "23:59:", "60")
def test_times_are_read_as_ordinarily(day: str, minute: str, second: str) -> None:
    """Before and after their day, minute and second were met, with microseconds and without."""
    instants = Instants()
    pieces = [piece.encode(errors="replace") for piece in (day, minute, second)]
    known = [b"2026-11-22T", b"17:28:", b"27"]
    for day_, minute_, second_ in (pieces, known, pieces, [known[0], *pieces[1:]], [*known[:2], pieces[2]]):
        for fraction, written in ((None, ""), (b"000042", ".000042")):
            text = b"".join((day_, minute_, second_)).decode() + written + "Z"
            try:
                expected = parse_time(text)
            except TimeError:
                with pytest.raises(DoubtError):
                    instants.read(day_, minute_, second_, fraction)
            else:
                assert instants.read(day_, minute_, second_, fraction) == expected


def test_rows_of_several_sources_are_packed_in_runs() -> None:
    """Neighbours that share reference and times share one run; the same run further down is another one."""
    rows = (grant(ref="sub_1"), grant("seats", 5, ref="sub_1"), grant(ref="sub_2"), grant("max", ref="sub_1"))
    data = documents.encode(Document(UserId("u"), SHOP, 7, 9, parse_time("2026-11-22T17:28:27Z"), rows))
    assert_alike(data)
    assert Packer(SHOP, Grants()).pack(data).record.startswith(b'[[0,1],"sub_1",')


def shaped(rows: int, user: str = "ada", ref: str = "sub_1", at: str = "2026-11-22T17:28:27Z") -> bytes:
    """A document of the plainest kind."""
    found = tuple(grant(f"feature-{number}", ref=ref) for number in range(rows))
    data = documents.encode(Document(UserId(user), SHOP, 7, 9, parse_time("2026-11-22T17:28:27.123456Z"), found))
    return data.replace(b'"valid_to":null', b'"valid_to":"%b"' % at.encode())


@given(st.data())
def test_spoiled_plain_bytes_are_read_alike(data: st.DataObject) -> None:
    """The same of the plainest documents, which are cut natively."""
    whole = shaped(data.draw(st.integers(0, 4)))
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    put = data.draw(st.one_of(st.binary(max_size=3), st.sampled_from([whole[start:end] * 2, b'"', b",", b"0", b"9"])))
    assert_alike(whole[:start] + put + whole[end:])


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32), st.integers(0, 25), st.integers(0, 61))
@example(2024, 2, 29, 0, 0)
@example(2026, 2, 29, 0, 0)
@example(2000, 2, 29, 23, 59)
@example(2100, 2, 29, 0, 0)
@example(1, 1, 1, 0, 0)
@example(0, 1, 1, 0, 0)
def test_every_calendar_day_is_the_same(year: int, month: int, day: int, hour: int, minute: int) -> None:
    """Days that exist and days that do not, in all ways of reading."""
    for fraction in ("", ".999999"):
        written = f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{minute:02d}{fraction}Z"
        assert_alike(shaped(2, at=written))


@given(st.lists(st.tuples(st.sampled_from(["pro", "max"]), st.sampled_from(["sub_1", "sub_2", ""])), max_size=9))
def test_runs_of_any_length_are_alike(told: list[tuple[str, str]]) -> None:
    """However rows share their own part with their neighbours."""
    rows = tuple(grant(code, ref=ref) for code, ref in told)
    data = documents.encode(Document(UserId("u"), SHOP, 7, 9, parse_time("2026-11-22T17:28:27Z"), rows))
    assert_alike(data)
    assert_alike(data.replace(b":27Z", b":27.000000Z", 1))


def test_digests_of_every_length_are_alike() -> None:
    """On both sides of the borders of the blocks that are hashed."""
    for length in range(300):
        assert_alike(shaped(1, ref="r" * length))
    assert_alike(shaped(300))


@pytest.mark.parametrize("native", [True, False])
def test_the_commonest_shape_needs_no_ordinary_reader(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    """What writers write is packed from its bytes, or a large start takes several times as long."""
    if not native:
        monkeypatch.setattr(packing, "_native", None)
    packer = Packer(SHOP, Grants())
    monkeypatch.setattr(documents, "decode", None)
    assert packer.pack(shaped(3)).record == b'[[0,1,2],"sub_1",%d,%d,7,9,%d]' % (
        START,
        parse_time("2026-11-22T17:28:27Z"),
        parse_time("2026-11-22T17:28:27.123456Z"),
    )
    assert packer.pack(GOOD).position == (7, 9)


def test_documents_in_ascii_are_packed_natively_where_there_is_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The set-up has built it, and it is what reads them."""
    if shutil.which("cc") is None:
        return  # then all is read in Python, as the other tests here have it
    monkeypatch.setattr(Packer, "_pack_plain", None)
    entry = Packer(SHOP, Grants()).pack(shaped(3))
    assert (entry.user, entry.position) == (b"ada", (7, 9))
