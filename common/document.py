"""The entitlement document: one user's entitlements in one project, as stored, published and answered."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

import orjson

from common.clock import Instant, format_time, parse_time
from common.identifiers import FeatureCode, ProjectId, UserId, feature_code, project_id, user_id
from common.position import Position

UNLIMITED: Final = "unlimited"
MAX_DOCUMENT_BYTES = 1024 * 1024
"""A larger document is refused: it would stall every copy that holds it."""

MAX_LIMIT = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact."""

Value = None | bool | int | str | dict[str, Any]
"""None for a plain feature, a whole number or "unlimited" for a limit, text or an object for configuration."""


class Source(StrEnum):
    """What grants an entitlement."""

    SUBSCRIPTION = "subscription"
    PURCHASE = "purchase"
    MANUAL = "manual"


class DocumentError(ValueError):
    """A document cannot be read; the message says which part."""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """One source's grant of one feature: it holds while `valid_from <= now < valid_to`."""

    feature_code: FeatureCode
    source: Source
    source_ref: str
    valid_from: Instant
    valid_to: Instant | None
    """None is for life."""
    value: Value


@dataclass(frozen=True, slots=True)
class Document:
    """All of one user's entitlements in one project, at the revision that last changed them.

    Rows of one feature stand best first (highest catalogue rank, then newest), so that a reader that wants one
    of several needs no rank. An empty document says that nothing is held; it is written instead of a deletion.
    """

    user_id: UserId
    project_id: ProjectId
    epoch: int
    revision: int
    computed_at: Instant
    entitlements: tuple[Entitlement, ...]

    @property
    def position(self) -> Position:
        """Where in the project's history this document was written."""
        return Position(self.epoch, self.revision)


def digest_of(document: Document) -> int:
    """The document's part in its project's digest: a 128-bit hash of its canonical bytes; 0 for an empty one.

    The canonical bytes hold who, which revision, and what is granted. They leave out the epoch, so that a new
    lineage keeps its digest, and `computed_at`, which is nobody's right. The list is closed: a field added to
    the document later stays out of it, so that an old sidecar and a new writer still agree.
    """
    if not document.entitlements:
        return 0
    rows = [(e.feature_code, e.source, e.source_ref, e.valid_from, e.valid_to, e.value) for e in document.entitlements]
    return digest_of_rows(document.user_id, document.revision, rows)


def digest_of_rows(user: str, revision: int, rows: Sequence[tuple[Any, ...]]) -> int:
    """The same for whoever holds a document otherwise.

    `rows`: feature, source, source_ref, valid_from, valid_to, value of each, of which there is one at least.
    """
    return digest_of_canonical(orjson.dumps([user, revision, rows], option=orjson.OPT_SORT_KEYS))


def digest_of_canonical(canonical: bytes) -> int:
    """The same for whoever has put the canonical bytes together himself."""
    return int.from_bytes(blake2b(canonical, digest_size=16).digest(), "big")


def canonical_value(value: Value) -> bytes:
    """A row's value as it stands in the canonical bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def to_json(document: Document) -> dict[str, Any]:
    """The document in its public shape."""
    return {
        "user_id": document.user_id,
        "project_id": document.project_id,
        "epoch": document.epoch,
        "revision": document.revision,
        "computed_at": format_time(document.computed_at),
        "entitlements": entitlements_to_json(document.entitlements),
    }


def entitlements_to_json(entitlements: Iterable[Entitlement]) -> list[dict[str, Any]]:
    """A document's rows in their public shape."""
    return [
        {
            "feature_code": e.feature_code,
            "source": e.source.value,
            "source_ref": e.source_ref,
            "valid_from": format_time(e.valid_from),
            "valid_to": None if e.valid_to is None else format_time(e.valid_to),
            "value": e.value,
        }
        for e in entitlements
    ]


def encode(document: Document) -> bytes:
    """The document as UTF-8 JSON."""
    return orjson.dumps(to_json(document))


def decode(data: bytes) -> Document:
    """Read UTF-8 JSON; DocumentError where it is no document."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"the document has {len(data)} bytes, {MAX_DOCUMENT_BYTES} are allowed")
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DocumentError("the document is not JSON") from error
    return from_json(parsed)


def from_json(parsed: Any) -> Document:
    """Read the public shape; fields that are not known here are passed over; DocumentError where it is no document."""
    try:
        return Document(
            user_id=user_id(parsed["user_id"]),
            project_id=project_id(parsed["project_id"]),
            epoch=_count("epoch", parsed["epoch"]),
            revision=_count("revision", parsed["revision"]),
            computed_at=parse_time(parsed["computed_at"]),
            entitlements=tuple([_entitlement(row) for row in parsed["entitlements"]]),
        )
    except DocumentError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentError(f"the document is not readable: {type(error).__name__}: {error}") from error


def _entitlement(row: Any) -> Entitlement:
    valid_to = row["valid_to"]
    return Entitlement(
        feature_code=feature_code(row["feature_code"]),
        source=Source(row["source"]),
        source_ref=_text("source_ref", row["source_ref"]),
        valid_from=parse_time(row["valid_from"]),
        valid_to=None if valid_to is None else parse_time(valid_to),
        value=checked_value(row["value"]),
    )


def checked_value(value: Any) -> Value:
    """A value as JSON gave it; DocumentError where none may be so."""
    if isinstance(value, float | list) or (isinstance(value, int) and abs(value) > MAX_LIMIT):
        raise DocumentError(f"value must be null, true, a whole number to {MAX_LIMIT}, a text or an object")
    return value  # type: ignore[no-any-return]  # JSON has no other types left


def _count(name: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise DocumentError(f"{name} must be a whole number, 0 or more")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DocumentError(f"{name} must be text")
    return value
