"""From a document's bytes to the record that a copy holds, and its part in the digest. Pure.

A load reads a million documents: building each one's objects only to take them apart again would be most of its time.
What has the shape that writers write is packed straight from its bytes. Whatever leaves a doubt (another field, an odd
number, an unusual name) is read by `common.document`, which also says what is wrong with it, so both ways accept and
refuse the same.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from common import document as documents
from common.clock import Instant, TimeError, parse_time
from common.document import MAX_DOCUMENT_BYTES, Document, DocumentError, digest_of, digest_of_rows
from common.identifiers import MAX_USER_ID, ProjectId, feature_code
from common.position import Position
from sidecar.records import Grants, Packed, pack

_MOST_REMEMBERED: Final = 65_536
_LONGEST_VALUE: Final = 512  # bytes of JSON; a longer value is seldom shared, and might be nested deeply
_LARGEST: Final = 2**53
_SOURCES: Final = frozenset(source.value for source in documents.Source)

_AT_MINUTE: Final = len("2026-01-31T")
_AT_SECOND: Final = len("2026-01-31T12:00:")
_AT_FRACTION: Final = len("2026-01-31T12:00:00")
_WHOLE: Final = len("2026-01-31T12:00:00Z")
_DIGITS: Final = 6


class Entry(NamedTuple):
    """A document as a copy takes it; `record` is empty where the user holds nothing."""

    user: bytes
    epoch: int
    revision: int
    record: bytes
    digest: int

    @property
    def position(self) -> Position:
        """Where the document was written."""
        return Position(self.epoch, self.revision)


class _Row(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    feature_code: str
    source: str
    source_ref: str
    valid_from: str
    valid_to: str | None
    value: msgspec.Raw


class _Document(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    user_id: str
    project_id: str
    epoch: int
    revision: int
    computed_at: str
    entitlements: list[_Row]


_Known = tuple[int | list[Any], str, str, Any]
"""A grant's number (or itself), feature, source and value."""


class _DoubtError(Exception):
    """A document is not of the plain shape: let the ordinary reader see it."""


class Packer:
    """Packs documents of one project, naming grants by the numbers of `grants`."""

    def __init__(self, project: ProjectId, grants: Grants) -> None:
        self._project = project
        self._grants = grants
        self._decode = msgspec.json.Decoder(_Document).decode
        self._known: dict[tuple[str, str, bytes], _Known] = {}
        self._instants = Instants()

    def pack(self, data: bytes) -> Entry:
        """The document; DocumentError where it is none, or another project's."""
        if len(data) <= MAX_DOCUMENT_BYTES:
            try:
                return self._quickly(data)
            except (_DoubtError, msgspec.MsgspecError, UnicodeError, TimeError, TypeError, RecursionError):
                pass  # in doubt, or wrong: both are told by the ordinary reader
        return self._carefully(data)

    def pack_of(self, user: bytes, data: bytes) -> Entry:
        """The same of a document that stands under a user's name; DocumentError where it is another's."""
        entry = self.pack(data)
        if entry.user != user:
            raise DocumentError(f"the document is of user {entry.user.decode()!r}, under whose name it does not stand")
        return entry

    def _quickly(self, data: bytes) -> Entry:
        if not data.isascii():
            data.decode()  # what is passed over unread must be text as well
        parsed = self._decode(data)
        user, epoch, revision = parsed.user_id, parsed.epoch, parsed.revision
        if not (user.isprintable() and 1 <= len(user) <= MAX_USER_ID):
            raise _DoubtError
        if parsed.project_id != self._project or not (0 <= epoch < _LARGEST and 0 <= revision < _LARGEST):
            raise _DoubtError
        computed_at = self._instants.read(parsed.computed_at)
        if not parsed.entitlements:
            return Entry(user.encode(), epoch, revision, b"", 0)
        packed: Packed = [epoch, revision, computed_at]
        canonical = self._runs(parsed.entitlements, packed)
        digest = digest_of_rows(user, revision, canonical)
        return Entry(user.encode(), epoch, revision, orjson.dumps(packed), digest)

    def _runs(self, rows: Sequence[_Row], packed: Packed) -> list[tuple[Any, ...]]:
        """Put the rows' runs into `packed`; the rows as the digest is made of them."""
        known, instant = self._known, self._instants.read
        canonical: list[tuple[Any, ...]] = []
        last: tuple[str, str, str | None] | None = None
        valid_from, valid_to = Instant(0), None
        granted: list[Any] = []
        for row in rows:
            reference, begins, ends = run = row.source_ref, row.valid_from, row.valid_to
            if run != last:
                valid_from = instant(begins)
                valid_to = None if ends is None else instant(ends)
                last = run
                granted = []
                packed += (reference, valid_from, valid_to, granted)
            told = row.feature_code, row.source, bytes(row.value)
            number, feature, source, value = known.get(told) or self._learn(told)
            granted.append(number)
            canonical.append((feature, source, reference, valid_from, valid_to, value))
        return canonical

    def _learn(self, told: tuple[str, str, bytes]) -> _Known:
        """A grant that was not met before."""
        feature, source, raw = told
        if len(raw) > _LONGEST_VALUE or source not in _SOURCES:
            raise _DoubtError
        try:
            value = documents.checked_value(orjson.loads(raw))
            number = self._grants.number(feature_code(feature), source, value)
        except ValueError as error:
            raise _DoubtError from error
        known = number, feature, source, value
        if len(self._known) < _MOST_REMEMBERED:
            self._known[told] = known
        return known

    def _carefully(self, data: bytes) -> Entry:
        document = documents.decode(data)
        if document.project_id != self._project:
            raise DocumentError(f"the document is of project {document.project_id!r}")
        return packed_entry(document, self._grants)


def packed_entry(document: Document, grants: Grants) -> Entry:
    """A document that was read already."""
    record = pack(document, grants) if document.entitlements else b""
    return Entry(document.user_id.encode(), document.epoch, document.revision, record, digest_of(document))


class Instants:
    """Reads times. Their days, minutes of the day and seconds of the minute are few, and are remembered."""

    def __init__(self) -> None:
        self._days: dict[str, int] = {}
        self._minutes: dict[str, int] = {}
        self._seconds: dict[str, int] = {}

    def read(self, text: str) -> Instant:
        """Read RFC 3339 with any zone; TimeError where it is not."""
        day, minute = self._days.get(text[:_AT_MINUTE]), self._minutes.get(text[_AT_MINUTE:_AT_SECOND])
        if day is None or minute is None:
            return self._learn(text)
        if len(text) == _WHOLE:
            second = self._seconds.get(text[_AT_SECOND:])
            return self._learn(text) if second is None else Instant(day + minute + second)
        second, digits = self._seconds.get(text[_AT_SECOND:_AT_FRACTION] + "Z"), text[_AT_FRACTION + 1 : -1]
        framed = len(text) == _WHOLE + 1 + _DIGITS and text[_AT_FRACTION] == "." and text[-1] == "Z"
        if second is None or not framed or not (digits.isdecimal() and digits.isascii()):
            return self._learn(text)
        return Instant(day + minute + second + int(digits))

    def _learn(self, text: str) -> Instant:
        moment = parse_time(text)
        if len(self._days) < _MOST_REMEMBERED:
            day, minute, second = text[:_AT_MINUTE], text[_AT_MINUTE:_AT_SECOND], text[_AT_SECOND:_AT_FRACTION] + "Z"
            self._days[day] = parse_time(f"{day}00:00:00Z")
            self._minutes[minute] = parse_time(f"1970-01-01T{minute}00Z")
            self._seconds[second] = parse_time(f"1970-01-01T00:00:{second}")
        return moment
