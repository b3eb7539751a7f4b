"""A project's history as a writer would commit it: documents, catalogue, revisions, digest. In memory."""

from typing import TypeVar

from common.catalogue import Catalogue, Combine, Feature, Kind, OnStale
from common.clock import SECOND, Instant
from common.document import Document, Entitlement, Source, Value, digest_of
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from common.transfer import SnapshotHead
from common.wire import CatalogChanged, Change, Heartbeat, UserChanged

C = TypeVar("C", UserChanged, CatalogChanged)

PROJECT = ProjectId("shop")
START = Instant(1_760_000_000 * SECOND)


def feature(code: str, kind: Kind = Kind.PLAIN, default: Value = None, on_stale: OnStale | None = None) -> Feature:
    """A feature of the catalogue."""
    return Feature(FeatureCode(code), kind, default, Combine.MAX, on_stale)


FEATURES = (feature("pro"), feature("free", default=True), feature("seats", Kind.LIMIT))


def grant(
    code: str = "pro", value: Value = None, valid_from: int = START, valid_to: int | None = None, ref: str = "sub_1"
) -> Entitlement:
    """One row of a document."""
    end = None if valid_to is None else Instant(valid_to)
    return Entitlement(FeatureCode(code), Source.SUBSCRIPTION, ref, Instant(valid_from), end, value)


class History:
    """Commits changes one revision after another and remembers all of them."""

    def __init__(self, project: ProjectId = PROJECT, epoch: int = 1, features: tuple[Feature, ...] = FEATURES) -> None:
        self.project = project
        self.epoch = epoch
        self.revision = 0
        self.changes: list[Change] = []
        self.documents: dict[UserId, Document] = {}
        self.digest = 0
        self.catalogue = Catalogue(project, epoch, 0, 0, {})
        self.edit(*features)

    @property
    def position(self) -> Position:
        """The newest committed position."""
        return Position(self.epoch, self.revision)

    @property
    def count(self) -> int:
        """How many documents are not empty."""
        return sum(1 for document in self.documents.values() if document.entitlements)

    def edit(self, *features: Feature) -> CatalogChanged:
        """Commit a catalogue."""
        self.revision += 1
        self.catalogue = Catalogue(
            self.project,
            self.epoch,
            self.revision,
            self.catalogue.version + 1,
            {f.code: f for f in features},
            {f.code: (f"price_{f.code}",) for f in features},
        )
        return self._commit(CatalogChanged(self.catalogue, START))

    def change(self, user: str, *rows: Entitlement) -> UserChanged:
        """Commit a user's document."""
        self.revision += 1
        name = UserId(user)
        document = Document(name, self.project, self.epoch, self.revision, Instant(START + self.revision), rows)
        held = self.documents.get(name)
        self.digest ^= digest_of(document) ^ (0 if held is None else digest_of(held))
        self.documents[name] = document
        return self._commit(UserChanged(document, START, START))

    def raise_epoch(self) -> None:
        """Begin a new lineage where the old one stands."""
        self.epoch += 1
        self.changes = []

    def heartbeat(self, sent_at: Instant = START) -> Heartbeat:
        """What the lease holder would say now."""
        return Heartbeat(self.epoch, self.revision, self.revision, self.count, self.digest, sent_at)

    def head(self) -> SnapshotHead:
        """The first line of a snapshot taken now."""
        return SnapshotHead(self.project, self.position, self.count, self.digest, self.catalogue)

    def _commit(self, change: C) -> C:
        self.changes.append(change)
        return change
