"""Apps: what keys are given to. An app is made with its first key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime
from writer.db.transaction import Transactions
from writer.operations import audit, projects
from writer.operations.audit import Act, Actor
from writer.operations.keys import check_app
from writer.operations.projects import Project
from writer.refusals import ConflictError, UnknownError


@dataclass(frozen=True, slots=True)
class App:
    """An app as it stands. `good_keys`: those that would be let in, were it enabled."""

    id: int
    name: str
    good_keys: int
    last_used_at: Instant | None
    created_at: Instant
    disabled_at: Instant | None


@dataclass(frozen=True, slots=True)
class AppChanges:
    """What to change; None leaves it."""

    name: str | None = None
    disabled: bool | None = None


class Apps:
    """Every method raises RefusedError where it will not; `on_commit` is called after something was committed."""

    def __init__(self, transactions: Transactions, on_commit: Callable[[], None]) -> None:
        self._transactions = transactions
        self._on_commit = on_commit

    async def list(self, project: str, after: int = 0, limit: int | None = None) -> Sequence[App]:
        """The project's apps; those behind `after`, at most `limit`."""

        async def work(connection: AsyncConnection) -> Sequence[App]:
            return await list_all(connection, await projects.find(connection, project), after, limit)

        return await self._transactions.run(work)

    async def update(self, project: str, app: str, changes: AppChanges, reason: str | None, actor: Actor) -> App:
        """Rename an app, disable it, enable it again."""

        async def work(connection: AsyncConnection) -> App:
            return await update(connection, await projects.find(connection, project), app, changes, reason, actor)

        done = await self._transactions.run(work)
        self._on_commit()
        return done


async def list_all(
    connection: AsyncConnection, project: Project, after: int = 0, limit: int | None = None
) -> Sequence[App]:
    """The project's apps behind `after`, the oldest first, at most `limit`."""
    parameters = {"project_id": project.id, "name": None, "after": after, "limit": limit}
    return [_app(row) for row in await connection.execute(_LIST, parameters)]


async def update(
    connection: AsyncConnection, project: Project, name: str, changes: AppChanges, reason: str | None, actor: Actor
) -> App:
    """Rename an app, disable it, enable it again. Its keys stay; of a disabled app none is good, within two seconds."""
    if (
        "\0" in name
        or (await connection.execute(_LOCK, {"project_id": project.id, "name": name})).one_or_none() is None
    ):
        raise UnknownError("unknown_app", f"project {project.public_id} has no app {name}")
    before = await _find(connection, project, name)
    renamed = before.name if changes.name is None else changes.name
    check_app(renamed)
    disabled = before.disabled_at is not None if changes.disabled is None else changes.disabled
    if (await connection.execute(_UPDATE, {"id": before.id, "name": renamed, "disabled": disabled})).rowcount == 0:
        raise ConflictError("app_exists", f"project {project.public_id} has an app {renamed} already")
    after = await _find(connection, project, renamed)
    if after != before:
        act = Act("app.update", project.id, f"app:{before.id}", reason, to_json(before), to_json(after))
        await audit.record(connection, actor, act)
    return after


def to_json(app: App) -> dict[str, Any]:
    """The app in its public shape."""
    return {
        "app": app.name,
        "good_keys": app.good_keys,
        "last_used_at": _text(app.last_used_at),
        "created_at": format_time(app.created_at),
        "disabled_at": _text(app.disabled_at),
    }


async def _find(connection: AsyncConnection, project: Project, name: str) -> App:
    parameters = {"project_id": project.id, "name": name, "after": 0, "limit": 1}
    return _app((await connection.execute(_LIST, parameters)).one())


def _app(row: Row[Any]) -> App:
    return App(
        id=row.id,
        name=row.name,
        good_keys=row.good_keys,
        last_used_at=_instant(row.last_used_at),
        created_at=from_datetime(row.created_at),
        disabled_at=_instant(row.disabled_at),
    )


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


def _text(moment: Instant | None) -> str | None:
    return None if moment is None else format_time(moment)


_LIST: Final = text("""
SELECT a.id, a.name, a.created_at, a.disabled_at, max(k.last_used_at) AS last_used_at,
    count(k.id) FILTER (WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())) AS good_keys
FROM apps a LEFT JOIN api_keys k ON k.app_id = a.id
WHERE a.project_id = :project_id AND a.id > :after AND (CAST(:name AS text) IS NULL OR a.name = CAST(:name AS text))
GROUP BY a.id ORDER BY a.id LIMIT CAST(:limit AS bigint)
""")

_LOCK: Final = text("SELECT id FROM apps WHERE project_id = :project_id AND name = :name FOR NO KEY UPDATE")

_UPDATE: Final = text("""
UPDATE apps SET name = :name,
    disabled_at = CASE WHEN CAST(:disabled AS boolean) THEN coalesce(disabled_at, now()) END
WHERE id = :id AND NOT EXISTS (
    SELECT FROM apps o WHERE o.project_id = apps.project_id AND o.name = :name AND o.id <> apps.id)
""")
