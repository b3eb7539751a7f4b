"""What a comparison found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from common import wire
from common.position import Position
from writer.relay.heads import Standing

MOST_NAMED: Final = 100
"""Findings of a kind that are named; more are only counted."""


class Place(StrEnum):
    """Where something is wrong."""

    POSTGRES = "postgres"
    REDIS = "redis"
    SIDECAR = "sidecar"


class Kind(StrEnum):
    """What is wrong."""

    UNREADABLE = "unreadable"
    """It is no document, catalogue or statement of this version."""
    MISSING = "missing"
    DIFFERENT = "different"
    """It holds something else at the same position."""
    BEHIND = "behind"
    """It stayed behind what is committed, longer than a change takes."""
    AHEAD = "ahead"
    """It holds a position that was never committed."""
    UNKNOWN = "unknown"
    """It holds a user's entitlements of whom Postgres holds none."""
    DIGEST = "digest"
    """Count or digest are not those of its documents, or not those of its position."""
    UNPROVEN = "unproven"
    """It has not proven itself against a digest."""
    GAP = "gap"
    """Revisions are missing in the change log."""
    REFILLING = "refilling"
    """It is being filled; what is there now is not whole."""
    UNREACHABLE = "unreachable"
    """It does not answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `subject`: a user, an instance, or a part such as `catalogue`."""

    place: Place
    kind: Kind
    subject: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SidecarState:
    """A live sidecar, by its own word."""

    instance: str
    position: Position | None
    behind: int | None
    """Revisions; None in another epoch."""
    agrees: bool | None
    """Whether its digest is that of its position; None where nothing tells it any more."""
    complete: bool
    age_ms: int | None
    mode: str | None
    differing: tuple[str, ...]
    """Users found differing at its last repair."""


@dataclass(slots=True)
class Report:
    """One project's comparison."""

    project: str
    head: Standing
    redis: Position | None = None
    """What Redis says that it holds."""
    documents: int = 0
    """How many of Postgres's were compared with Redis's."""
    sidecars: Sequence[SidecarState] = ()
    findings: list[Finding] = field(default_factory=list)
    unnamed: int = 0
    """Findings beyond those that are named."""
    _counts: dict[tuple[Place, Kind], int] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.findings

    def found(self, place: Place, kind: Kind, subject: str, detail: str = "") -> None:
        """Note something that is wrong."""
        count = self._counts[place, kind] = self._counts.get((place, kind), 0) + 1
        if count > MOST_NAMED:
            self.unnamed += 1
        else:
            self.findings.append(Finding(place, kind, subject, detail))


def report_to_json(report: Report) -> dict[str, Any]:
    """A report for programs."""
    return {
        "project_id": report.project,
        "equal": report.equal,
        "epoch": report.head.position.epoch,
        "revision": report.head.position.revision,
        "count": report.head.count,
        "digest": wire.format_digest(report.head.digest),
        "documents_compared": report.documents,
        "redis": None if report.redis is None else report.redis._asdict(),
        "sidecars": [
            {
                "instance": one.instance,
                "epoch": None if one.position is None else one.position.epoch,
                "revision": None if one.position is None else one.position.revision,
                "behind": one.behind,
                "digest_agrees": one.agrees,
                "complete": one.complete,
                "age_ms": one.age_ms,
                "mode": one.mode,
                "differing": list(one.differing),
            }
            for one in report.sidecars
        ],
        "findings": [
            {"place": one.place, "kind": one.kind, "subject": one.subject, "detail": one.detail}
            for one in report.findings
        ],
        "findings_not_named": report.unnamed,
    }
