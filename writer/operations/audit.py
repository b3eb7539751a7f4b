"""The audit log: who did what, written in the transaction of the act itself."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `admin-key:…`, `cli:NAME`, `stripe`, `system`; `origin` is the caller's address where there is one."""

    name: str
    origin: str | None = None


STRIPE: Final = Actor("stripe")

request_key: ContextVar[str | None] = ContextVar("request_key", default=None)
"""The idempotency key of the request that is being carried out, where it has one."""


@dataclass(frozen=True, slots=True)
class Act:
    """What was done: `action` such as `key.revoke`, `subject` such as `key:12`; the states hold no secret."""

    action: str
    project_id: int | None
    subject: str
    reason: str | None = None
    before: Any = None
    after: Any = None


async def record(connection: AsyncConnection, actor: Actor, act: Act) -> None:
    """Write one row; it stands or falls with what else the transaction does.

    So does the mark on the request's idempotency key, which says that the request was carried out.
    """
    await connection.execute(
        _INSERT,
        {
            "actor": actor.name,
            "origin": actor.origin,
            "action": act.action,
            "project_id": act.project_id,
            "subject": act.subject,
            "reason": act.reason,
            "before": _json(act.before),
            "after": _json(act.after),
        },
    )
    key = request_key.get()
    if key is not None:
        await connection.execute(_MARK, {"key": key})


def _json(state: Any) -> str | None:
    return None if state is None else orjson.dumps(state).decode()


_INSERT: Final = text("""
INSERT INTO audit_log (actor, action, project_id, subject, reason, before, after, origin)
VALUES (:actor, :action, :project_id, :subject, :reason, CAST(CAST(:before AS text) AS jsonb),
    CAST(CAST(:after AS text) AS jsonb), :origin)
""")

_MARK: Final = text("UPDATE idempotent_requests SET acted_at = now() WHERE key = :key AND acted_at IS NULL")
