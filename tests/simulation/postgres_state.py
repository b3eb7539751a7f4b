"""What the model of Postgres holds: values that never change, so that a snapshot or a backup is the value itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from common.position import Position


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A row of `documents`."""

    user_ref: int
    user_id: str
    revision: int
    digest: bytes
    computed_us: int
    is_empty: bool
    body: Any


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A row of `catalog_versions`."""

    epoch: int
    revision: int
    definition: Any


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A row of `projects`, and the current documents and catalogue versions that hang on it."""

    id: int
    public_id: str
    epoch: int
    home_oid: int
    revision: int = 0
    user_count: int = 0
    digest: bytes = bytes(16)
    catalog_version: int = 0
    documents: Mapping[int, DocumentRow] = field(default_factory=dict)
    versions: Mapping[int, VersionRow] = field(default_factory=dict)

    @property
    def position(self) -> Position:
        """The newest revision."""
        return Position(self.epoch, self.revision)


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row of `outbox`."""

    epoch: int
    revision: int
    op: str
    body: Any
    user_count: int
    digest: bytes
    received_us: int | None
    committed_at: float
    trail: Any = None


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A row of `relay_leases`. `expires_at`: seconds by the database's wall clock."""

    owner: str | None
    fence: int
    expires_at: float
    relayed: Position


@dataclass(frozen=True, slots=True)
class Database:
    """Everything that is committed."""

    system: str = "1"
    """What names the cluster, the timeline and the database."""
    table_oid: int = 100
    identity: str | None = None
    """What `lineage` has recorded."""
    projects: Mapping[int, ProjectRow] = field(default_factory=dict)
    users: Mapping[tuple[int, str], int] = field(default_factory=dict)
    outbox: Mapping[int, tuple[OutboxRow, ...]] = field(default_factory=dict)
    leases: Mapping[int, LeaseRow] = field(default_factory=dict)

    def with_project(self, row: ProjectRow) -> Self:
        """The same with another row of `projects`."""
        return replace(self, projects={**self.projects, row.id: row})

    def with_lease(self, project_id: int, row: LeaseRow) -> Self:
        """The same with another row of `relay_leases`."""
        return replace(self, leases={**self.leases, project_id: row})
