"""What is on the wire, frozen.

Files under `v1` are never edited: an old sidecar must read a new writer, and the reverse.
"""

from pathlib import Path
from typing import Any

import orjson
import pytest

from common import catalogue as catalogues
from common import document as documents
from common import transfer, wire
from common.answers import CheckQuery, Standing, check_answer
from common.catalogue import Catalogue, Combine, Feature, Kind, OnStale
from common.clock import parse_time
from common.decision import Decision, Reason
from common.document import Document, Entitlement, Source
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from common.trail import Trail
from common.transfer import ChangesPage, SnapshotHead
from common.wire import CatalogChanged, FutureVersionError, Heartbeat, UserChanged, WireError

GOLDEN = Path(__file__).parent / "v1"
PROJECT = ProjectId("shop")
EPOCH, REVISION = 1_763_800_000, 42

DOCUMENT = Document(
    user_id=UserId("org:7/ä"),
    project_id=PROJECT,
    epoch=EPOCH,
    revision=REVISION,
    computed_at=parse_time("2026-01-31T12:00:00.000123Z"),
    entitlements=(
        Entitlement(
            FeatureCode("seats"),
            Source.SUBSCRIPTION,
            "sub_1",
            parse_time("2026-01-01T00:00:00Z"),
            parse_time("2026-02-04T00:00:00Z"),
            25,
        ),
        Entitlement(
            FeatureCode("seats"), Source.MANUAL, "grant_9", parse_time("2026-01-02T00:00:00Z"), None, "unlimited"
        ),
        Entitlement(FeatureCode("export"), Source.PURCHASE, "cs_1", parse_time("2026-01-03T00:00:00Z"), None, None),
        Entitlement(
            FeatureCode("theme"),
            Source.MANUAL,
            "grant_10",
            parse_time("2026-01-03T00:00:00Z"),
            None,
            {"name": "dark", "accent": "blue"},
        ),
    ),
)
EMPTY = Document(UserId("ann"), PROJECT, EPOCH, 43, parse_time("2026-01-31T12:00:01Z"), ())
CATALOGUE = Catalogue(
    PROJECT,
    EPOCH,
    7,
    3,
    {
        FeatureCode("export"): Feature(FeatureCode("export")),
        FeatureCode("seats"): Feature(FeatureCode("seats"), Kind.LIMIT, 1, Combine.SUM, OnStale.DENY),
        FeatureCode("theme"): Feature(FeatureCode("theme"), Kind.CONFIG, "light"),
    },
    {FeatureCode("export"): ("price_a", "price_b")},
)
SENT = parse_time("2026-01-31T12:00:02Z")
USER = UserChanged(DOCUMENT, SENT, parse_time("2026-01-31T12:00:01.5Z"))
TRAIL = Trail("req-7", "evt_1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
FOLLOWED = UserChanged(DOCUMENT, SENT, parse_time("2026-01-31T12:00:01.5Z"), TRAIL)
CATALOG = CatalogChanged(CATALOGUE, SENT)
HEARTBEAT = Heartbeat(EPOCH, 41, REVISION, 12, 0x0123456789ABCDEF0123456789ABCDEF, SENT)
HEAD = SnapshotHead(PROJECT, Position(EPOCH, REVISION), 12, 0xFEDCBA9876543210FEDCBA9876543210, CATALOGUE)
PAGE = ChangesPage([USER, CATALOG], HEARTBEAT)


def golden(name: str) -> bytes:
    """A frozen file's bytes, without the line end that editors want."""
    return (GOLDEN / f"{name}.json").read_bytes().rstrip(b"\n")


WRITTEN: dict[str, bytes] = {
    "document": documents.encode(DOCUMENT),
    "document_empty": documents.encode(EMPTY),
    "catalog": catalogues.encode(CATALOGUE),
    "message_user": wire.encode(USER),
    "message_user_trail": wire.encode(FOLLOWED),
    "message_catalog": wire.encode(CATALOG),
    "message_heartbeat": wire.encode(HEARTBEAT),
    "snapshot_head": transfer.encode_head(HEAD),
    "snapshot_end": transfer.encode_end(12),
    "changes": orjson.dumps(transfer.page_to_json(PAGE)),
}

READ: dict[str, tuple[Any, Any]] = {
    "document": (documents.decode, DOCUMENT),
    "document_empty": (documents.decode, EMPTY),
    "catalog": (catalogues.decode, CATALOGUE),
    "message_user": (wire.decode, USER),
    "message_user_trail": (wire.decode, FOLLOWED),
    "message_catalog": (wire.decode, CATALOG),
    "message_heartbeat": (wire.decode, HEARTBEAT),
    "snapshot_head": (transfer.decode_head, HEAD),
    "snapshot_end": (transfer.decode_end, 12),
    "changes": (transfer.decode_page, PAGE),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_what_was_frozen(name: str) -> None:
    """Byte for byte: an older reader gets what it knows."""
    assert WRITTEN[name] == golden(name)


@pytest.mark.parametrize("name", READ)
def test_what_was_frozen_is_read(name: str) -> None:
    """What an older writer sent still means the same."""
    decode, expected = READ[name]
    if name == "catalog" or "catalog" in name or name in {"snapshot_head", "changes"}:
        assert _plain(decode(golden(name))) == _plain(expected)
    else:
        assert decode(golden(name)) == expected


def test_every_frozen_file_is_read() -> None:
    """None is left behind when the reader moves on."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == {*READ, "check_granted", "check_denied", "digest"}


@pytest.mark.parametrize("name", READ)
def test_fields_of_a_later_writer_are_passed_over(name: str) -> None:
    """A member that this version does not know changes nothing, whatever it stands in."""
    decode, _ = READ[name]
    later = orjson.dumps({**orjson.loads(golden(name)), "later": {"x": 1}})
    assert _plain(decode(later)) == _plain(decode(golden(name)))


@pytest.mark.parametrize("name", ["snapshot_head", "changes"])
def test_a_future_version_over_http_is_refused_as_such(name: str) -> None:
    """A newer snapshot and newer changes are told apart from junk, too."""
    decode, _ = READ[name]
    with pytest.raises(FutureVersionError):
        decode(orjson.dumps({**orjson.loads(golden(name)), "v": 2}))


@pytest.mark.parametrize("change", [{"v": 2}, {"op": "merge"}, {"v": "1"}])
def test_a_future_version_is_refused_as_such(change: dict[str, Any]) -> None:
    """A newer version or an unknown operation is told apart from junk."""
    with pytest.raises(FutureVersionError):
        wire.from_json({**orjson.loads(golden("message_heartbeat")), **change})


@pytest.mark.parametrize("name", ["message_user", "message_catalog", "message_heartbeat"])
def test_a_missing_member_is_refused(name: str) -> None:
    """Every member of a message is needed, but `received_at`."""
    parsed = orjson.loads(golden(name))
    for member in parsed.keys() - {"received_at"}:
        with pytest.raises(WireError):
            wire.from_json({key: value for key, value in parsed.items() if key != member})


@pytest.mark.parametrize("trail", [None, "evt_1", {"event_id": "evt 1"}, {"later": 1}])
def test_a_trail_decides_nothing(trail: Any) -> None:
    """Missing, or of whatever shape: the change is the same."""
    parsed = orjson.loads(golden("message_user"))
    assert wire.from_json({**parsed, "trail": trail}) == USER
    assert b"trail" not in golden("message_user")


def test_the_digest_of_a_document_is_frozen() -> None:
    """Writer and sidecar of any two versions come to the same digest."""
    assert {"digest": wire.format_digest(documents.digest_of(DOCUMENT))} == orjson.loads(golden("digest"))
    assert documents.digest_of(EMPTY) == 0


def test_answers_to_a_check_are_frozen() -> None:
    """An app reads the same members from either process, now and later."""
    standing = Standing(Position(EPOCH, REVISION), 250, stale=False)
    query = CheckQuery(UserId("ann"), FeatureCode("seats"), used=20)
    granted = Decision(
        allowed=True,
        reason=Reason.GRANTED,
        value=25,
        source="subscription",
        valid_to=parse_time("2026-02-04T00:00:00Z"),
    )
    assert orjson.dumps(check_answer(query, PROJECT, granted, standing)) == golden("check_granted")
    query = CheckQuery(UserId("ann"), FeatureCode("export"))
    denied = Decision(allowed=False, reason=Reason.NOT_GRANTED, unlocked_by=("price_a", "price_b"))
    behind = Standing(Position(EPOCH, REVISION), 6_000, stale=True, behind=True)
    assert orjson.dumps(check_answer(query, PROJECT, denied, behind)) == golden("check_denied")


def _plain(value: Any) -> Any:
    match value:
        case Catalogue():
            return catalogues.to_json(value)
        case CatalogChanged() | UserChanged() | Heartbeat():
            return wire.to_json(value)
        case SnapshotHead():
            return transfer.encode_head(value)
        case ChangesPage():
            return transfer.page_to_json(value)
        case _:
            return value
