"""What users hold and what a project sells, as it is committed: one statement each, so that all of it fits together."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common import document as documents
from common.catalogue import Catalogue
from common.clock import Clock, format_time, from_datetime
from common.document import Document
from common.identifiers import ProjectId, UserId
from common.position import Position
from writer.recompute import load_definition

_CACHED: Final = 64


@dataclass(frozen=True, slots=True)
class Held:
    """A user's document, the catalogue in force, and the head of the project's history, at one moment."""

    document: Document
    catalogue: Catalogue
    head: Position


class Documents:
    """Reads documents and catalogues; a catalogue is kept, because a version never changes in an epoch."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._clock = clock
        self._catalogues: dict[tuple[int, int, int], Catalogue] = {}

    async def held(self, project_id: int, user: UserId) -> Held:
        """The user's; an empty document at the head for somebody who is not known."""
        async with self._engine.connect() as connection:
            row = (await connection.execute(_HELD, {"project_id": project_id, "user_id": user})).one()
            return Held(self._document(row, user), await self._catalogue(connection, project_id, row), _head(row))

    async def _catalogue(self, connection: AsyncConnection, project_id: int, row: Row[Any]) -> Catalogue:
        key = (project_id, row.epoch, row.catalog_version)
        known = self._catalogues.get(key)
        if known is None:
            definition = await load_definition(connection, project_id, row.catalog_version)
            known = Catalogue(
                ProjectId(row.public_id),
                row.epoch,
                row.head,
                row.catalog_version,
                definition.answered,
                definition.unlocked_by(),
            )
            if len(self._catalogues) >= _CACHED:
                self._catalogues.clear()
            self._catalogues[key] = known
        return known

    def _document(self, row: Row[Any], user: UserId) -> Document:
        project = ProjectId(row.public_id)
        if row.revision is None:
            return Document(user, project, row.epoch, row.head, self._clock.now(), ())
        return documents.from_json(
            {
                "user_id": user,
                "project_id": project,
                "epoch": row.epoch,
                "revision": row.revision,
                "computed_at": format_time(from_datetime(row.computed_at)),
                "entitlements": row.body,
            }
        )


def _head(row: Row[Any]) -> Position:
    return Position(row.epoch, row.head)


_HELD: Final = text("""
SELECT p.public_id, p.epoch, p.revision AS head, p.catalog_version, d.revision, d.computed_at, d.body
FROM projects p LEFT JOIN users u ON u.project_id = p.id AND u.user_id = :user_id
    LEFT JOIN documents d ON d.user_ref = u.id
WHERE p.id = :project_id
""")
