"""How a copy holds its documents: one compact byte string a user, decoded when asked. Pure.

A million object graphs would be walked by the garbage collector again and again, and pause every answer; bytes
are invisible to it. What is stored is lossless: the document comes back equal.
"""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from common.clock import Instant
from common.document import Document, Entitlement, Source
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position

_SOURCES: Final = {source.value: source for source in Source}


class Records:
    """The non-empty documents of one project, by user."""

    __slots__ = ("_held", "_project")

    def __init__(self, project: ProjectId) -> None:
        self._project = project
        self._held: dict[UserId, bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, user: UserId) -> bool:
        return user in self._held

    def __iter__(self) -> Iterator[UserId]:
        return iter(self._held)

    def put(self, document: Document) -> None:
        """Hold the document; an empty one is held as nothing."""
        if not document.entitlements:
            self._held.pop(document.user_id, None)
            return
        self._held[document.user_id] = orjson.dumps(
            [
                document.epoch,
                document.revision,
                document.computed_at,
                [
                    [e.feature_code, e.source, e.source_ref, e.valid_from, e.valid_to, e.value]
                    for e in document.entitlements
                ],
            ]
        )

    def rows(self, user: UserId, feature: FeatureCode) -> tuple[Entitlement, ...] | None:
        """The user's rows of one feature, in the document's order; None where the user holds nothing at all."""
        record = self._held.get(user)
        if record is None:
            return None
        return tuple([_entitlement(row) for row in orjson.loads(record)[3] if row[0] == feature])

    def document(self, user: UserId) -> Document | None:
        """The user's whole document; None where there is none."""
        record = self._held.get(user)
        if record is None:
            return None
        epoch, revision, computed_at, rows = orjson.loads(record)
        entitlements = tuple([_entitlement(row) for row in rows])
        return Document(user, self._project, epoch, revision, Instant(computed_at), entitlements)

    def position(self, user: UserId) -> Position | None:
        """Where the user's document was written; None where there is none."""
        record = self._held.get(user)
        if record is None:
            return None
        epoch, revision, *_ = orjson.loads(record)
        return Position(epoch, revision)

    def stored(self, user: UserId) -> bytes | None:
        """The user's record as held, only to compare: equal documents have equal records."""
        return self._held.get(user)


def _entitlement(row: list[Any]) -> Entitlement:
    feature, source, source_ref, valid_from, valid_to, value = row
    return Entitlement(feature, _SOURCES[source], source_ref, valid_from, valid_to, value)
