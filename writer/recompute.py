"""Recompute: what users hold, worked out again from all their sources, under their locks.

Every change to an entitlement passes here, whatever caused it: a webhook, a confirm, a grant, a catalogue edit.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Clock, Instant
from common.document import MAX_DOCUMENT_BYTES, Entitlement, entitlements_to_json
from common.identifiers import UserId
from writer import outbox
from writer.db import sources
from writer.db.direct import Statement
from writer.domain import catalogue as definitions
from writer.domain.catalogue import Definition
from writer.domain.entitle import Grace, entitle
from writer.domain.fold import fold
from writer.domain.sources import Sources
from writer.outbox import Cause, Revision, UserChange
from writer.refusals import ConflictError
from writer.settings import GraceSettings

_CACHED_VERSIONS: Final = 64

_SURELY_SMALL: Final = 40  # rows; not even with the largest configurations do so few make a large document
_LARGE_BYTES: Final = MAX_DOCUMENT_BYTES // 2
_MOST_BYTES: Final = MAX_DOCUMENT_BYTES - 4_096  # who, where and when stand around the rows


class DocumentTooLargeError(ConflictError):
    """A user's document would be larger than readers take, also without the rows that cannot matter."""

    def __init__(self, rows: int, size: int) -> None:
        detail = (
            f"a user's entitlements would need {size} bytes in {rows} rows; a document may have {MAX_DOCUMENT_BYTES}. "
            "A limit with combine: sum keeps a row for each purchase: use combine: max, or sell higher limits at once"
        )
        super().__init__("document_too_large", detail)


@dataclass(frozen=True, slots=True, order=True)
class UserKey:
    """A user of a project, by the project's internal id."""

    project_id: int
    user_id: UserId


@dataclass(frozen=True, slots=True)
class _State:
    """What a user has now, what it comes from, and which catalogue is in force."""

    user_ref: int
    project_id: int
    user_id: UserId
    epoch: int
    catalog_version: int
    body: list[dict[str, object]]
    digest: int
    sources: Sources

    @property
    def catalogue(self) -> tuple[int, int, int]:
        """Project, epoch and version: what names one catalogue for good."""
        return self.project_id, self.epoch, self.catalog_version


class Recompute:
    """Computes documents and hands those that changed to the outbox."""

    def __init__(self, grace: GraceSettings, clock: Clock) -> None:
        self.grace: Final = Grace(
            entitlement=round(grace.entitlement * SECOND),
            trial=round(grace.trial * SECOND),
            past_due=round(grace.past_due * SECOND),
        )
        self._clock = clock
        # A restore may give a version number again with other content, but never within an epoch.
        self._definitions: dict[tuple[int, int, int], Definition] = {}

    def now(self) -> Instant:
        """By the clock that documents are computed by."""
        return self._clock.now()

    async def users(self, connection: AsyncConnection, refs: Collection[int], cause: Cause) -> list[Revision]:
        """Compute the users `refs` (users.id, locked by the caller); a revision for each whose document changed.

        Raises CatalogueMovedError and LineageMovedError, which `Transactions.run` answers by running all again, and
        DocumentTooLargeError where somebody holds more than a document can.
        """
        if not refs:
            return []
        now = self._clock.now()
        return await outbox.append_users(connection, await self.changes(connection, refs, now), cause, now)

    async def changes(self, connection: AsyncConnection, refs: Collection[int], now: Instant) -> list[UserChange]:
        """What of the users' documents is not as it would be computed now; nothing is written.

        DocumentTooLargeError where somebody holds more than a document can.
        """
        states = await _read_states(connection, refs)
        changes = []
        for state in states:
            definition = await self._definition(connection, state.catalogue)
            rows = self._entitled(state.sources, definition, now)
            if entitlements_to_json(rows) != state.body:
                changes.append(_change(state, rows))
        return changes

    async def preview(self, connection: AsyncConnection, project_id: int, imagined: Sources) -> tuple[Entitlement, ...]:
        """What somebody with `imagined` sources would hold under the catalogue in force; nothing is written."""
        row = (await connection.execute(_IN_FORCE, {"project_id": project_id})).one()
        definition = await self._definition(connection, (project_id, row.epoch, row.catalog_version))
        return self._entitled(imagined, definition, self._clock.now())

    def _entitled(self, held: Sources, definition: Definition, now: Instant) -> tuple[Entitlement, ...]:
        rows = entitle(held, definition, self.grace, now)
        if len(rows) <= _SURELY_SMALL or _size(rows) <= _LARGE_BYTES:
            return rows
        folded = fold(rows, definition.features, now)
        size = _size(folded)
        if size > _MOST_BYTES:
            raise DocumentTooLargeError(len(folded), size)
        return folded

    async def _definition(self, connection: AsyncConnection, key: tuple[int, int, int]) -> Definition:
        known = self._definitions.get(key)
        if known is None:
            project_id, _, version = key
            known = await load_definition(connection, project_id, version)
            if len(self._definitions) >= _CACHED_VERSIONS:
                self._definitions.clear()
            self._definitions[key] = known
        return known


async def load_definition(connection: AsyncConnection, project_id: int, version: int) -> Definition:
    """A project's catalogue in one version; version 0 is the empty one that a project begins with."""
    if version == 0:
        return Definition(version=0)
    row = await connection.execute(_DEFINITION, {"project_id": project_id, "version": version})
    return definitions.from_json(row.scalar_one())


async def lock_users(connection: AsyncConnection, keys: Iterable[UserKey]) -> dict[UserKey, int]:
    """Lock users, sorted, making those that are missing; their users.id. Held to the transaction's end."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    parameters: dict[str, object] = {
        "project_ids": [key.project_id for key in wanted],
        "user_ids": [key.user_id for key in wanted],
    }
    found = await _keyed(connection, _LOCK_USERS if len(wanted) > 1 else _LOCK_USER, parameters)
    if len(found) < len(wanted):
        found |= await _keyed(connection, _ADD_USERS, parameters)  # nobody else sees them yet: as good as locked
    if len(found) < len(wanted):  # somebody else added one meanwhile
        found = await _keyed(connection, _LOCK_USERS, parameters)
    return found


async def lock_user_refs(connection: AsyncConnection, refs: Collection[int]) -> None:
    """Lock users that exist, by users.id, in the same order as `lock_users`."""
    await _LOCK_REFS.run(connection, {"refs": list(refs)})


async def _keyed(
    connection: AsyncConnection, statement: Statement, parameters: dict[str, object]
) -> dict[UserKey, int]:
    rows = await statement.run(connection, parameters)
    return {UserKey(row.project_id, UserId(row.user_id)): row.id for row in rows}


async def _read_states(connection: AsyncConnection, refs: Collection[int]) -> list[_State]:
    rows = await _STATES.run(connection, {"refs": list(refs)})
    return [
        _State(
            row.id,
            row.project_id,
            UserId(row.user_id),
            row.epoch,
            row.catalog_version,
            row.body or [],
            int.from_bytes(row.digest or b"", "big"),
            sources.of_rows(row.sources or []),
        )
        for row in rows
    ]


def _size(rows: tuple[Entitlement, ...]) -> int:
    return len(orjson.dumps(entitlements_to_json(rows)))


def _change(state: _State, rows: tuple[Entitlement, ...]) -> UserChange:
    return UserChange(state.project_id, state.user_ref, state.user_id, rows, state.catalog_version, state.digest)


_STATES: Final = Statement(f"""
WITH held AS (
    SELECT user_ref, json_agg(json_build_array(kind, data)) AS sources FROM ({sources.SELECT}) s GROUP BY user_ref
)
SELECT u.id, u.project_id, u.user_id, p.epoch, p.catalog_version, d.body, d.digest, h.sources
FROM users u JOIN projects p ON p.id = u.project_id LEFT JOIN documents d ON d.user_ref = u.id
LEFT JOIN held h ON h.user_ref = u.id
WHERE u.id = ANY(:refs) ORDER BY u.id
""")  # noqa: S608 - our own constant

_IN_FORCE: Final = text("SELECT epoch, catalog_version FROM projects WHERE id = :project_id")

_DEFINITION: Final = text("""
SELECT definition FROM catalog_versions WHERE project_id = :project_id AND version = :version
""")

# Postgres would plan the one below anew for every event: it cannot know ahead how many users are in the lists.
_LOCK_USER: Final = Statement("""
SELECT id, project_id, user_id FROM users
WHERE project_id = (CAST(:project_ids AS bigint[]))[1] AND user_id = (CAST(:user_ids AS text[]))[1] FOR NO KEY UPDATE
""")

_LOCK_USERS: Final = Statement("""
SELECT u.id, u.project_id, u.user_id
FROM users u JOIN unnest(CAST(:project_ids AS bigint[]), CAST(:user_ids AS text[])) AS w(project_id, user_id)
    USING (project_id, user_id)
ORDER BY u.project_id, u.user_id COLLATE "C" FOR NO KEY UPDATE OF u
""")

_ADD_USERS: Final = Statement("""
INSERT INTO users (project_id, user_id)
SELECT * FROM unnest(CAST(:project_ids AS bigint[]), CAST(:user_ids AS text[])) AS w(project_id, user_id)
ORDER BY project_id, user_id COLLATE "C"
ON CONFLICT (project_id, user_id) DO NOTHING
RETURNING id, project_id, user_id
""")

_LOCK_REFS: Final = Statement("""
SELECT id FROM users WHERE id = ANY(:refs) ORDER BY project_id, user_id COLLATE "C" FOR NO KEY UPDATE
""")
