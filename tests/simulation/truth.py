"""What was true at every committed position, worked out from the transactions alone."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from common import document as documents
from common.catalogue import Feature, features_from_json
from common.document import Document, digest_of
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from tests.simulation.postgres_state import Database, OutboxRow, ProjectRow


@dataclass(frozen=True, slots=True)
class Truth:
    """A project at one position: the documents that are not empty, and the catalogue's features."""

    position: Position
    documents: Mapping[UserId, Document]
    digest: int
    features: Mapping[FeatureCode, Feature]

    @property
    def count(self) -> int:
        """How many documents there are."""
        return len(self.documents)


class InconsistentError(AssertionError):
    """Postgres itself holds what cannot be: invariant 3 or 4."""


class History:
    """One project: what its head was when, and what was true at each position.

    After a restore that nobody can tell by the database, a number may have been given twice: then either holds.
    """

    def __init__(self) -> None:
        self.truths: dict[Position, list[Truth]] = {}
        self._times: list[float] = []
        self._heads: list[Truth] = []

    @property
    def head(self) -> Truth:
        """What is true now."""
        return self._heads[-1]

    def heads_since(self, time: float) -> list[Truth]:
        """Everything that was true at some moment since then."""
        at = bisect_right(self._times, time)
        return self._heads[max(0, at - 1) :]

    def began(self, row: ProjectRow, time: float) -> None:
        """A project is there, or was restored, as this row says."""
        held = {UserId(one.user_id): _document(row, one) for one in row.documents.values() if not one.is_empty}
        version = row.versions.get(row.catalog_version)
        features = {} if version is None else features_from_json(version.definition["features"])
        self._add(Truth(row.position, held, int.from_bytes(row.digest, "big"), features), time)

    def committed(self, row: ProjectRow, told: list[OutboxRow], time: float) -> None:
        """A transaction changed the project."""
        if row.epoch != self.head.position.epoch:
            if row.epoch < self.head.position.epoch:
                raise InconsistentError("an epoch went back")
            head = self.head
            self._add(
                Truth(Position(row.epoch, head.position.revision), head.documents, head.digest, head.features), time
            )
        for entry in told:
            self._tell(entry, time)
        if self.head.position != row.position or self.head.digest != int.from_bytes(row.digest, "big"):
            raise InconsistentError(f"the head {row.position.token} does not fit what was told")

    def _tell(self, entry: OutboxRow, time: float) -> None:
        head = self.head
        if (entry.epoch, entry.revision) != (head.position.epoch, head.position.revision + 1):
            raise InconsistentError(f"revision {entry.epoch}.{entry.revision} follows {head.position.token}")
        held, features, digest = head.documents, head.features, head.digest
        if entry.op == "user":
            document = documents.from_json(entry.body)
            rest = {user: one for user, one in held.items() if user != document.user_id}
            if document.user_id in held:
                digest ^= digest_of(held[document.user_id])
            digest ^= digest_of(document)
            held = {**rest, document.user_id: document} if document.entitlements else rest
        else:
            features = features_from_json(entry.body["features"])
        if (len(held), digest) != (entry.user_count, int.from_bytes(entry.digest, "big")):
            raise InconsistentError(f"number or digest at {entry.epoch}.{entry.revision} do not fit the documents")
        self._add(Truth(Position(entry.epoch, entry.revision), held, digest, features), time)

    def _add(self, truth: Truth, time: float) -> None:
        self.truths.setdefault(truth.position, []).append(truth)
        self._times.append(time)
        self._heads.append(truth)


class Histories:
    """All projects'."""

    def __init__(self) -> None:
        self.of: dict[ProjectId, History] = {}

    def committed(self, before: Database, after: Database, time: float) -> None:
        """A transaction committed."""
        for project_id, row in after.projects.items():
            old = before.projects.get(project_id)
            if old is row:
                continue
            name = ProjectId(row.public_id)
            if old is None:
                self.of[name] = History()
                self.of[name].began(row, time)
                continue
            told = _beyond(old, after.outbox.get(project_id, ()))
            self.of[name].committed(row, told, time)

    def restored(self, database: Database, time: float) -> None:
        """The database went back to this."""
        for row in database.projects.values():
            self.of[ProjectId(row.public_id)].began(row, time)


def _beyond(row: ProjectRow, entries: Sequence[OutboxRow]) -> list[OutboxRow]:
    newest = takewhile(lambda entry: (entry.epoch, entry.revision) > row.position, reversed(entries))
    return list(newest)[::-1]


def _document(row: ProjectRow, one: Any) -> Document:
    return documents.from_json(
        {
            "user_id": one.user_id,
            "project_id": row.public_id,
            "epoch": row.epoch,
            "revision": one.revision,
            "computed_at": "2026-01-01T00:00:00Z",
            "entitlements": one.body,
        }
    )
