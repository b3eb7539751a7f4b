"""The audit log as operators read it: who did what, when, from where and why, the newest first."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, from_datetime
from common.identifiers import ProjectId


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines are meant; what is None does not matter. `action` may end with `*`."""

    project: str | None = None
    actor: str | None = None
    action: str | None = None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One act."""

    id: int
    at: Instant
    actor: str
    action: str
    project: ProjectId | None
    subject: str
    reason: str | None
    before: Any
    after: Any
    origin: str | None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Lines, the newest first; `next` is the `before` of the following page, None on the last one."""

    lines: tuple[AuditLine, ...]
    next: int | None


async def list_page(connection: AsyncConnection, chosen: AuditFilter, before: int | None, limit: int) -> AuditPage:
    """A page; `before` is the id of the last line of the page before."""
    action, star, _ = (chosen.action or "").partition("*")
    parameters = {
        "project": chosen.project,
        "actor": chosen.actor,
        "action": action,
        "is_prefix": bool(star),
        "subject": chosen.subject,
        "before": before,
        "limit": limit + 1,
    }
    lines = [_line(row) for row in await connection.execute(_LIST, parameters)]
    return AuditPage(tuple(lines[:limit]), lines[limit - 1].id if len(lines) > limit else None)


def _line(row: Row[Any]) -> AuditLine:
    return AuditLine(
        id=row.id,
        at=from_datetime(row.at),
        actor=row.actor,
        action=row.action,
        project=None if row.project is None else ProjectId(row.project),
        subject=row.subject,
        reason=row.reason,
        before=row.before,
        after=row.after,
        origin=row.origin,
    )


_LIST: Final = text("""
SELECT a.id, a.at, a.actor, a.action, p.public_id AS project, a.subject, a.reason, a.before, a.after, a.origin
FROM audit_log a LEFT JOIN projects p ON p.id = a.project_id
WHERE (CAST(:project AS text) IS NULL OR p.public_id = :project)
    AND (CAST(:actor AS text) IS NULL OR a.actor = :actor)
    AND (CAST(:subject AS text) IS NULL OR a.subject = :subject)
    AND (:action = '' OR CASE WHEN :is_prefix THEN starts_with(a.action, :action) ELSE a.action = :action END)
    AND (CAST(:before AS bigint) IS NULL OR a.id < :before)
ORDER BY a.id DESC LIMIT :limit
""")
