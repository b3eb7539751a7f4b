"""One project's copy: documents, catalogue, position and digest, kept in step change by change. Pure.

Nothing here waits or does I/O. `bootstrap` fills a `Copy` aside, `follower` applies changes to the one that a
`Replica` answers from.
"""

from enum import StrEnum
from typing import Any, Self, assert_never

from common.catalogue import Catalogue
from common.document import Document, Entitlement
from common.identifiers import FeatureCode, ProjectId, UserId
from common.position import Position
from common.wire import CatalogChanged, Change, UserChanged
from sidecar.packing import Entry, packed_entry
from sidecar.pages import Pages
from sidecar.records import Grants, Records, digest_of_record


class Applied(StrEnum):
    """What became of a change."""

    APPLIED = "applied"
    NOT_NEWER = "not_newer"
    """The copy stands at this revision or beyond it already."""
    GAP = "gap"
    """Revisions between the copy and this change are missing."""
    NEW_EPOCH = "new_epoch"
    """The change belongs to a newer lineage: the copy must be loaded afresh."""
    OLD_EPOCH = "old_epoch"
    """The change belongs to a lineage that was given up."""


class Proof(StrEnum):
    """What comparing digests has shown of a copy so far."""

    NONE = "none"
    MATCHED = "matched"
    DIFFERED = "differed"


class Compared(StrEnum):
    """What one comparison came to."""

    MATCHES = "matches"
    DIFFERS = "differs"
    ELSEWHERE = "elsewhere"
    """The copy does not stand at that position, so nothing can be said."""


class Installed(StrEnum):
    """What became of a copy that was loaded aside."""

    INSTALLED = "installed"
    OLDER = "older"
    """The copy in use is newer."""
    UNPROVEN = "unproven"
    """Its digest has not matched, and the copy in use is proven or as new; or its digest is known to differ."""


class Copy:
    """Documents and catalogue of one project at a position.

    While it is filled from a source that moves on meanwhile, documents may be newer than `position`; the copy is
    consistent once it has applied through `horizon`, the newest position that it read.
    """

    def __init__(self, project: ProjectId, catalogue: Catalogue, position: Position, users: int = 0) -> None:
        """`users`: for about how many there is to be room at once."""
        self.project = project
        self.catalogue = catalogue
        self.position = position
        self.horizon = max(position, catalogue.position)
        self.proof = Proof.NONE
        self.moves = 0
        """Counts whatever changes what an answer says of the copy itself: its position, its proof."""
        self.digest = 0
        self.records = Records(project, users)

    @classmethod
    def restored(
        cls,
        project: ProjectId,
        catalogue: Catalogue,
        position: Position,
        grants: list[list[Any]],
        pages: list[bytes],
        count: int,
    ) -> Self:
        """A copy out of what another one was made of."""
        copy = cls(project, catalogue, position)
        copy.records = Records.restored(project, Grants(grants), Pages(pages, count))
        return copy

    @property
    def count(self) -> int:
        """How many non-empty documents it holds."""
        return len(self.records)

    @property
    def consistent(self) -> bool:
        """Whether everything in it stands at `position`."""
        return self.position >= self.horizon

    @property
    def complete(self) -> bool:
        """Whether a miss is an answer: its own digest has matched at an equal position."""
        return self.proof is Proof.MATCHED

    @property
    def faulty(self) -> bool:
        """Whether it is known to lack something; what it holds may still be right."""
        return self.proof is Proof.DIFFERED or not self.consistent

    def rows(self, user: UserId, feature: FeatureCode) -> tuple[Entitlement, ...] | None:
        """The user's rows of a feature; None where the copy holds nothing of the user."""
        return self.records.rows(user, feature)

    def document(self, user: UserId) -> Document | None:
        """The user's document; None where the copy holds nothing of the user."""
        return self.records.document(user)

    def hold(self, document: Document) -> None:
        """Take a document while filling; an older one than is held is passed over."""
        self.take(packed_entry(document, self.records.grants))

    def take(self, entry: Entry) -> None:
        """The same of a document that was packed with this copy's grants."""
        self._replace(entry)
        self.horizon = max(self.horizon, entry.position)

    def apply(self, change: Change) -> Applied:
        """Take the next revision, and only that one."""
        epoch, revision = change.position
        if epoch != self.position.epoch:
            return Applied.NEW_EPOCH if epoch > self.position.epoch else Applied.OLD_EPOCH
        if revision <= self.position.revision:
            return Applied.NOT_NEWER
        if revision != self.position.revision + 1:
            return Applied.GAP
        match change:
            case UserChanged(document):
                self._replace(packed_entry(document, self.records.grants))
            case CatalogChanged(catalogue):
                if catalogue.position > self.catalogue.position:
                    self.catalogue = catalogue
            case _:
                assert_never(change)
        self.position = change.position
        self.moves += 1
        return Applied.APPLIED

    def compare(self, position: Position, count: int, digest: int) -> Compared:
        """Hold the copy against what its source says of the same position."""
        if position != self.position or not self.consistent:
            return Compared.ELSEWHERE
        matches = (count, digest) == (self.count, self.digest)
        self.proof = Proof.MATCHED if matches else Proof.DIFFERED
        self.moves += 1
        return Compared.MATCHES if matches else Compared.DIFFERS

    def lacks(self, newer: "Copy", user: UserId) -> bool:
        """Whether this copy should have held what `newer` holds of the user, and does not."""
        if self.records.stored(user) == newer.records.stored(user):
            return False
        written = newer.records.position(user)
        return newer.position == self.position if written is None else written <= self.position

    def _replace(self, entry: Entry) -> None:
        held = self.records.pages.get(entry.user)
        if held is not None:
            digest, position = digest_of_record(entry.user, held, self.records.grants)
            if entry.position <= position:
                return
            self.digest ^= digest
        self.digest ^= entry.digest
        self.records.take(entry.user, entry.record)


class Replica:
    """The copy that a project's answers come from. Good state is never replaced by older or unproven state."""

    def __init__(self, project: ProjectId) -> None:
        self.project = project
        self.copy: Copy | None = None

    @property
    def synced(self) -> bool:
        """Whether it was filled once; it never goes back."""
        return self.copy is not None

    def install(self, candidate: Copy) -> Installed:
        """Answer from `candidate` from now on, if it is better than what is there."""
        held = self.copy
        if held is not None:
            if candidate.position < held.position:
                return Installed.OLDER
            proven_or_no_newer = held.complete or candidate.position == held.position
            if not candidate.complete and (proven_or_no_newer or candidate.proof is Proof.DIFFERED):
                return Installed.UNPROVEN
        self.copy = candidate
        return Installed.INSTALLED
