"""The outbox: the last station of a transaction, where changes become revisions.

Everything here happens under the project's lock: the revision is given, and document, history, digest and outbox
row are written with it, in one statement. Who reads the outbox finds revisions gapless and in commit order.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common import catalogue as catalogues
from common import document as documents
from common.catalogue import Catalogue
from common.clock import Instant, format_time
from common.document import Document, Entitlement
from common.identifiers import ProjectId, UserId
from common.position import Position
from common.trail import NOWHERE, Trail, current
from writer.db.direct import Row, Statement
from writer.db.transaction import CatalogueMovedError, LineageMovedError
from writer.domain import catalogue as definitions
from writer.domain.catalogue import Definition


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a change: `evt_…`, `confirm:cs_…`, `grant:12`, `catalog:3`, `operator:NAME`."""

    name: str
    received_at: Instant | None = None
    """When it reached the writer; None where nothing came from outside."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision that was given to a user's document."""

    project_id: int
    project: ProjectId
    user_id: UserId
    position: Position


@dataclass(frozen=True, slots=True)
class UserChange:
    """A user's new entitlements, computed under the user's lock with one version of the catalogue."""

    project_id: int
    user_ref: int
    user_id: UserId
    entitlements: tuple[Entitlement, ...]
    catalog_version: int
    old_digest: int
    """Of the document that is replaced; 0 where it was empty or none."""


@dataclass(slots=True)
class _Head:
    """A locked project row."""

    project: ProjectId
    epoch: int
    revision: int
    count: int
    digest: int
    catalog_version: int


async def append_users(
    connection: AsyncConnection, changes: Iterable[UserChange], cause: Cause, now: Instant
) -> list[Revision]:
    """Give each change its revision and write all that belongs to it.

    CatalogueMovedError: another version of the catalogue is in force than a change was computed with.
    LineageMovedError: the tables are not those that the epoch began in. Either way nothing was written.
    """
    ordered = sorted(changes, key=lambda change: (change.project_id, change.user_ref))
    if not ordered:
        return []
    heads = await lock_projects(connection, {change.project_id for change in ordered})
    if any(heads[change.project_id].catalog_version != change.catalog_version for change in ordered):
        raise CatalogueMovedError
    revisions: list[Revision] = []
    rows: list[dict[str, Any]] = []
    for project_id, group in groupby(ordered, key=lambda change: change.project_id):
        head = heads[project_id]
        for change in group:
            document = _next_document(head, change, now)
            rows.append(_row(head, change, document))
            revisions.append(Revision(project_id, head.project, change.user_id, document.position))
    parameters = {
        "rows": orjson.dumps(rows).decode(),
        "heads": orjson.dumps([_head_row(project_id, head) for project_id, head in heads.items()]).decode(),
        "cause": cause.name,
        "received_at": None if cause.received_at is None else format_time(cause.received_at),
        "trail": orjson.dumps(trail.to_json()).decode() if (trail := current()) else None,
    }
    await _APPEND_USERS.run(connection, parameters)
    return revisions


async def append_catalogue(
    connection: AsyncConnection, project_id: int, definition: Definition, *, actor: str, now: Instant
) -> Catalogue:
    """Put `definition` in force: one revision. Its version must follow the one in force, else CatalogueMovedError."""
    head = (await lock_projects(connection, [project_id]))[project_id]
    if definition.version != head.catalog_version + 1:
        raise CatalogueMovedError
    head.revision += 1
    catalogue = Catalogue(
        head.project, head.epoch, head.revision, definition.version, definition.answered, definition.unlocked_by()
    )
    parameters = {
        "project_id": project_id,
        "epoch": head.epoch,
        "revision": head.revision,
        "version": definition.version,
        "definition": orjson.dumps(definitions.to_json(definition)).decode(),
        "actor": actor,
        "body": catalogues.encode(catalogue).decode(),
        "user_count": head.count,
        "digest": head.digest.to_bytes(16, "big"),
        "now": format_time(now),
    }
    await connection.execute(_APPEND_CATALOGUE, parameters)
    return catalogue


async def lock_projects(connection: AsyncConnection, project_ids: Collection[int]) -> dict[int, _Head]:
    """Lock the rows, sorted: the last lock of every transaction. LineageMovedError: a table was made anew."""
    rows = await _LOCK_PROJECTS.run(connection, {"ids": list(project_ids)})
    heads = {}
    for row in rows:
        if not row.at_home:
            raise LineageMovedError
        digest = int.from_bytes(row.digest, "big")
        heads[row.id] = _Head(
            ProjectId(row.public_id), row.epoch, row.revision, row.user_count, digest, row.catalog_version
        )
    return heads


def _next_document(head: _Head, change: UserChange, now: Instant) -> Document:
    head.revision += 1
    document = Document(change.user_id, head.project, head.epoch, head.revision, now, change.entitlements)
    head.digest ^= change.old_digest ^ documents.digest_of(document)
    head.count += bool(change.entitlements) - (change.old_digest != 0)
    return document


def _row(head: _Head, change: UserChange, document: Document) -> dict[str, Any]:
    public = documents.to_json(document)
    return {
        **public,
        "document": public,
        "user_ref": change.user_ref,
        "project_id": change.project_id,  # the row's, not the public one
        "catalog_version": change.catalog_version,
        "document_digest": documents.digest_of(document).to_bytes(16, "big").hex(),
        "is_empty": not change.entitlements,
        "user_count": head.count,
        "digest": head.digest.to_bytes(16, "big").hex(),
    }


def _head_row(project_id: int, head: _Head) -> dict[str, Any]:
    digest = head.digest.to_bytes(16, "big").hex()
    return {"id": project_id, "revision": head.revision, "user_count": head.count, "digest": digest}


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One revision as the relay reads it: the document or catalogue, and the project's state just after it."""

    position: Position
    body: Document | Catalogue
    count: int
    digest: int
    received_at: Instant | None
    trail: Trail = NOWHERE
    """Where the change came from, as far as that is known."""


async def read(connection: AsyncConnection, project_id: int, after: Position, limit: int) -> Sequence[OutboxEntry]:
    """The entries of `after`'s epoch that follow it, in order, at most `limit`.

    Where the first one is not the very next revision, what is missing was trimmed.
    """
    rows = await _READ.run(
        connection, {"project_id": project_id, "epoch": after.epoch, "after": after.revision, "limit": limit}
    )
    return [entry(row) for row in rows]


def entry(row: Row) -> OutboxEntry:
    """An entry from a row of `ENTRIES`."""
    return OutboxEntry(
        Position(row.epoch, row.revision),
        documents.from_json(row.body) if row.op == "user" else catalogues.from_json(row.body),
        row.user_count,
        int.from_bytes(row.digest, "big"),
        row.received_us,
        Trail.from_json(row.trail),
    )


async def trim(connection: AsyncConnection, project_id: int, *, keep_seconds: float, keep_entries: int) -> int:
    """Drop entries that are relayed, older than `keep_seconds` and not among the last `keep_entries`; their number."""
    result = await connection.execute(
        _TRIM, {"project_id": project_id, "keep_seconds": keep_seconds, "keep_entries": keep_entries}
    )
    return result.rowcount


_LOCK_PROJECTS: Final = Statement("""
SELECT id, public_id, epoch, revision, user_count, digest, catalog_version, home_oid = tableoid AS at_home
FROM projects WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE
""")

# PostgreSQL runs the parts of one statement on one snapshot, so `entitlements` keeps the revision in its key:
# the rows that go and the rows that come never meet.
_APPEND_USERS: Final = Statement("""
WITH input AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r(
        user_ref bigint, project_id bigint, user_id text, epoch bigint, revision bigint, computed_at timestamptz,
        catalog_version bigint, document_digest text, is_empty boolean, user_count bigint, digest text,
        entitlements json, document json)
), heads AS (
    UPDATE projects p SET revision = h.revision, user_count = h.user_count, digest = decode(h.digest, 'hex')
    FROM json_to_recordset(CAST(:heads AS json)) AS h(id bigint, revision bigint, user_count bigint, digest text)
    WHERE p.id = h.id
), current AS (
    INSERT INTO documents (user_ref, project_id, user_id, revision, digest, computed_at, is_empty, body)
    SELECT user_ref, project_id, user_id, revision, decode(document_digest, 'hex'), computed_at, is_empty, entitlements
    FROM input
    ON CONFLICT (user_ref) DO UPDATE SET revision = excluded.revision, digest = excluded.digest,
        computed_at = excluded.computed_at, is_empty = excluded.is_empty, body = excluded.body
), gone AS (
    DELETE FROM entitlements e USING input i WHERE e.user_ref = i.user_ref
), held AS (
    INSERT INTO entitlements (user_ref, revision, position, project_id, user_id, feature_code, source, source_ref,
        valid_from, valid_to, value)
    SELECT i.user_ref, i.revision, e.position - 1, i.project_id, i.user_id, e.row->>'feature_code', e.row->>'source',
        e.row->>'source_ref', (e.row->>'valid_from')::timestamptz, (e.row->>'valid_to')::timestamptz,
        nullif((e.row->'value')::jsonb, 'null'::jsonb)
    FROM input i CROSS JOIN LATERAL json_array_elements(i.entitlements) WITH ORDINALITY AS e(row, position)
), history AS (
    INSERT INTO entitlement_history (project_id, epoch, revision, user_ref, user_id, recorded_at, catalog_version,
        cause, body)
    SELECT project_id, epoch, revision, user_ref, user_id, computed_at, catalog_version, :cause, entitlements
    FROM input
)
INSERT INTO outbox (project_id, epoch, revision, op, user_ref, body, user_count, digest, received_at, trail)
SELECT project_id, epoch, revision, 'user', user_ref, document, user_count, decode(digest, 'hex'),
    CAST(CAST(:received_at AS text) AS timestamptz), CAST(CAST(:trail AS text) AS json)
FROM input
""")

_APPEND_CATALOGUE: Final = text("""
WITH head AS (
    UPDATE projects SET revision = :revision, catalog_version = :version WHERE id = :project_id
), version AS (
    INSERT INTO catalog_versions (project_id, version, epoch, revision, definition, actor, created_at)
    VALUES (:project_id, :version, :epoch, :revision, CAST(CAST(:definition AS text) AS jsonb), :actor,
        CAST(CAST(:now AS text) AS timestamptz))
)
INSERT INTO outbox (project_id, epoch, revision, op, body, user_count, digest)
VALUES (:project_id, :epoch, :revision, 'catalog', CAST(CAST(:body AS text) AS json), :user_count, :digest)
""")

ENTRIES: Final = """
SELECT epoch, revision, op, body, user_count, digest, trail,
    (extract(epoch FROM received_at) * 1000000)::bigint AS received_us
FROM outbox WHERE project_id = :project_id AND epoch = :epoch AND revision > :after ORDER BY revision LIMIT :limit
"""
"""What follows `:after` of `:epoch` in the outbox of `:project_id`, in order, at most `:limit`."""

_READ: Final = Statement(ENTRIES)

_TRIM: Final = text("""
DELETE FROM outbox o USING relay_leases l, projects p
WHERE o.project_id = :project_id AND l.project_id = o.project_id AND p.id = o.project_id
    AND (o.epoch, o.revision) <= (l.relayed_epoch, l.relayed_revision)
    AND o.revision <= p.revision - :keep_entries
    AND o.committed_at < now() - make_interval(secs => :keep_seconds)
""")
