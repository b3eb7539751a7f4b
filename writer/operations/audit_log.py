"""The audit log as operators read it: who did what, when, from where, and what was there before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime, to_datetime


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which acts are meant; what is None does not matter. `action` and `actor` may end with `*`."""

    actor: str | None = None
    action: str | None = None
    project_id: int | None = None
    subject: str | None = None
    since: Instant | None = None
    """Done then or later."""
    until: Instant | None = None
    """Done before."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act as it was written down."""

    id: int
    at: Instant
    actor: str
    origin: str | None
    action: str
    project: str | None
    subject: str
    reason: str | None
    before: Any
    after: Any


async def search(connection: AsyncConnection, chosen: AuditFilter, before: int | None, limit: int) -> Sequence[Entry]:
    """Acts, the newest first, those with a smaller id than `before`, at most `limit`."""
    parameters = {
        "actor": _pattern(chosen.actor),
        "action": _pattern(chosen.action),
        "project_id": chosen.project_id,
        "subject": chosen.subject,
        "since": None if chosen.since is None else to_datetime(chosen.since),
        "until": None if chosen.until is None else to_datetime(chosen.until),
        "last": before,
        "limit": limit,
    }
    return [
        Entry(
            row.id, from_datetime(row.at), row.actor, row.origin, row.action, row.public_id, row.subject, row.reason,
            row.before, row.after,
        )
        for row in await connection.execute(_SEARCH, parameters)
    ]  # fmt: skip


def to_json(entry: Entry) -> dict[str, Any]:
    """The act in its public shape."""
    return {
        "id": entry.id,
        "at": format_time(entry.at),
        "actor": entry.actor,
        "origin": entry.origin,
        "action": entry.action,
        "project_id": entry.project,
        "subject": entry.subject,
        "reason": entry.reason,
        "before": entry.before,
        "after": entry.after,
    }


def _pattern(chosen: str | None) -> str | None:
    """As LIKE reads it: a star at the end means anything, and nothing else has a meaning of its own."""
    if chosen is None:
        return None
    exact = chosen.removesuffix("*")
    escaped = exact.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped + "%" if chosen.endswith("*") else escaped


_SEARCH: Final = text("""
SELECT a.id, a.at, a.actor, a.origin, a.action, p.public_id, a.subject, a.reason, a.before, a.after
FROM audit_log a LEFT JOIN projects p ON p.id = a.project_id
WHERE (CAST(:actor AS text) IS NULL OR a.actor LIKE CAST(:actor AS text))
    AND (CAST(:action AS text) IS NULL OR a.action LIKE CAST(:action AS text))
    AND (CAST(:project_id AS bigint) IS NULL OR a.project_id = CAST(:project_id AS bigint))
    AND (CAST(:subject AS text) IS NULL OR a.subject = CAST(:subject AS text))
    AND (CAST(:since AS timestamptz) IS NULL OR a.at >= CAST(:since AS timestamptz))
    AND (CAST(:until AS timestamptz) IS NULL OR a.at < CAST(:until AS timestamptz))
    AND (CAST(:last AS bigint) IS NULL OR a.id < CAST(:last AS bigint))
ORDER BY a.id DESC LIMIT :limit
""")
