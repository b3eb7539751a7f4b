"""How a copy holds its documents: packed, some users to a page, unpacked when asked. Pure.

A million object graphs would be walked by the garbage collector again and again, and pause every answer; pages are
invisible to it, and take a fifth of the memory. What is stored is lossless: the document comes back equal.

A record is a JSON list: for each run of rows that share them a list of what each row grants, source_ref, valid_from
and valid_to; at the end epoch, revision and computed_at. A grant, (feature, source, value), is one of few that very
many users share: it is held once, and named by number.

    [[0,1,2],"sub_1Q5",1790000005000000,2105360005000000,1795000000,1,1795000000000001]

What most questions need, the grants and the times of an only run, `only_run` reads without taking the record apart.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

import orjson

from common.clock import Instant
from common.document import Document, Entitlement, Source, digest_of_rows
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from sidecar.pages import Pages

_SOURCES: Final = {source.value: source for source in Source}
_MOST_GRANTS: Final = 65_536
"""Grants held by number; should there be more, the others stand in their records."""

RUN: Final = 4
"""How many members a run has: grants, source_ref, valid_from, valid_to."""

HEAD: Final = 3
"""How many follow the runs: epoch, revision, computed_at."""

Packed = list[Any]
"""A record, unpacked as far as JSON goes."""


class Grants:
    """Numbers for (feature, source, value)."""

    __slots__ = ("_numbers", "listed")

    def __init__(self, listed: Sequence[list[Any]] = ()) -> None:
        """`listed`: grants that have numbers already, by number; one may have several."""
        self.listed: list[list[Any]] = []
        self._numbers: dict[bytes, int] = {}
        for number, grant in enumerate(listed):
            self.listed.append(grant)
            self._numbers.setdefault(orjson.dumps(grant), number)

    def number(self, feature: str, source: str, value: Any) -> int | list[Any]:
        """The grant's number, or the grant itself once there are too many."""
        grant = [feature, source, value]
        key = orjson.dumps(grant)
        number = self._numbers.get(key)
        if number is not None:
            return number
        if len(self.listed) == _MOST_GRANTS:
            return grant
        self._numbers[key] = len(self.listed)
        self.listed.append(grant)
        return len(self.listed) - 1


class Records:
    """The non-empty documents of one project, by user."""

    __slots__ = ("_project", "grants", "pages")

    def __init__(self, project: ProjectId, expected: int = 0) -> None:
        self._project = project
        self.grants = Grants()
        self.pages = Pages.with_room(expected)

    @classmethod
    def restored(cls, project: ProjectId, grants: Grants, pages: Pages) -> Self:
        """Records that were packed before, with the grants that they name."""
        records = cls(project)
        records.grants, records.pages = grants, pages
        return records

    def __len__(self) -> int:
        return self.pages.count

    def __contains__(self, user: UserId) -> bool:
        return user.encode() in self.pages

    def __iter__(self) -> Iterator[UserId]:
        return (UserId(key.decode()) for key in self.pages)

    def take(self, user: bytes, record: bytes) -> None:
        """Hold a record that was packed with these grants; an empty one is held as nothing."""
        if record:
            self.pages.put(user, record)
        else:
            self.pages.remove(user)

    def put(self, document: Document) -> None:
        """Hold the document; an empty one is held as nothing."""
        record = pack(document, self.grants) if document.entitlements else b""
        self.take(document.user_id.encode(), record)

    def rows(self, user: UserId, feature: FeatureCode) -> tuple[Entitlement, ...] | None:
        """The user's rows of one feature, in the document's order; None where the user holds nothing at all."""
        packed = self._packed(user)
        return None if packed is None else tuple(self._rows(packed, feature))

    def document(self, user: UserId) -> Document | None:
        """The user's whole document; None where there is none."""
        packed = self._packed(user)
        if packed is None:
            return None
        epoch, revision, computed_at = packed[-HEAD:]
        rows = tuple(self._rows(packed, None))
        return Document(user, self._project, epoch, revision, Instant(computed_at), rows)

    def position(self, user: UserId) -> Position | None:
        """Where the user's document was written; None where there is none."""
        packed = self._packed(user)
        return None if packed is None else _position(packed)

    def stored(self, user: UserId) -> bytes | None:
        """The user's record with its grants spelled out, only to compare: equal documents have equal ones."""
        packed = self._packed(user)
        if packed is None:
            return None
        listed = self.grants.listed
        for at in range(0, len(packed) - HEAD, RUN):
            packed[at] = [listed[grant] if type(grant) is int else grant for grant in packed[at]]
        return orjson.dumps(packed)

    def _packed(self, user: UserId) -> Packed | None:
        record = self.pages.get(user.encode())
        return None if record is None else orjson.loads(record)

    def _rows(self, packed: Packed, wanted: FeatureCode | None) -> Iterator[Entitlement]:
        for feature, source, source_ref, valid_from, valid_to, value in unpacked_rows(packed, self.grants):
            if wanted is None or feature == wanted:
                yield Entitlement(feature, _SOURCES[source], source_ref, valid_from, valid_to, value)


def unpacked_rows(packed: Packed, grants: Grants) -> Iterator[tuple[Any, ...]]:
    """Feature, source, source_ref, valid_from, valid_to and value of each row, in the document's order."""
    listed = grants.listed
    for at in range(0, len(packed) - HEAD, RUN):
        granted, source_ref, valid_from, valid_to = packed[at : at + RUN]
        for grant in granted:
            feature, source, value = listed[grant] if type(grant) is int else grant
            yield feature, source, source_ref, valid_from, valid_to, value


def only_run(record: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Of a record with a single run: the text of its grants, valid_from and valid_to, as they stand in it.

    None where there may be another run. The grants' text is to be understood once for many records: `granted_by`.
    """
    granted, _, rest = record.partition(b"],")
    reference, begins, ends, _, _, _ = rest.rsplit(b",", 2 + HEAD)
    return None if b"[" in reference else (granted, begins, ends)


def granted_by(text: bytes, grants: Grants) -> list[list[Any]] | None:
    """The grants, (feature, source, value) each, of a text from `only_run`; None where they are not all numbers."""
    try:
        numbers = orjson.loads(text[1:] + b"]")
    except orjson.JSONDecodeError:
        return None
    return [grants.listed[number] for number in numbers] if all(type(number) is int for number in numbers) else None


def digest_of_record(user: bytes, record: bytes, grants: Grants) -> tuple[int, Position]:
    """A record's part in the digest, as its document has it, and where the document was written."""
    packed: Packed = orjson.loads(record)
    position = _position(packed)
    return digest_of_rows(user.decode(), position.revision, list(unpacked_rows(packed, grants))), position


def pack(document: Document, grants: Grants) -> bytes:
    """The record of a document that is not empty."""
    packed: Packed = []
    run: tuple[str, Instant, Instant | None] | None = None
    granted: list[Any] = []
    for row in document.entitlements:
        if run != (row.source_ref, row.valid_from, row.valid_to):
            run = (row.source_ref, row.valid_from, row.valid_to)
            granted = []
            packed += (granted, *run)
        granted.append(grants.number(row.feature_code, row.source, row.value))
    return orjson.dumps([*packed, document.epoch, document.revision, document.computed_at])


def _position(packed: Packed) -> Position:
    return Position(packed[-HEAD], packed[-HEAD + 1])
