"""Project keys: made, shown once, rotated with an overlap, revoked. Kept as SHA-256 of their 256 random bits."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime, to_datetime
from common.identifiers import ProjectId
from common.settings import Secret
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.operations.projects import Project
from writer.refusals import ConflictError, InvalidError, UnknownError

KEY_MARK: Final = "bk_"
"""How every project key begins, so that a leaked one is recognised."""

DEFAULT_OVERLAP: Final = timedelta(days=1)
"""How long a rotated key stays good beside its successor: a deployment's time."""

_SHOWN: Final = len(KEY_MARK) + 8
_APP: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as people may see it."""

    id: int
    app: str
    prefix: str
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None
    project: ProjectId


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only moment its secret is known."""

    key: Key
    secret: Secret


def hash_of(secret: str) -> bytes:
    """What is stored instead of a key. Its bits are random, so a plain hash keeps it."""
    return hashlib.sha256(secret.encode()).digest()


def check_app(app: str) -> None:
    """InvalidError where it is no app's name."""
    if not _APP.fullmatch(app) or app in {".", ".."}:  # those clients resolve in paths
        raise InvalidError(
            "invalid_app", "app must have 1 to 64 characters out of A-Z a-z 0-9 _ . -, not . or .. alone"
        )


async def create(
    connection: AsyncConnection, project: Project, app: str, expires_at: Instant | None, actor: Actor, now: Instant
) -> NewKey:
    """A key for one of the project's apps; the app is made with its first key."""
    check_app(app)
    if expires_at is not None and expires_at <= now:
        raise InvalidError("invalid_expiry", "expires_at is in the past")
    new = await _insert(connection, project, app, expires_at)
    await audit.record(connection, actor, _act("key.create", project, new.key, after=to_json(new.key)))
    return new


async def list_all(
    connection: AsyncConnection,
    project: Project | None,
    after: int = 0,
    limit: int | None = None,
    unused_since: Instant | None = None,
) -> Sequence[Key]:
    """Every key of the project, or of all, behind `after`, also those that are no longer good; newest last.

    `unused_since`: only keys that are still good and that nobody has shown since then, nor made.
    """
    parameters = {
        "project_id": None if project is None else project.id,
        "after": after,
        "limit": limit,
        "unused_since": None if unused_since is None else to_datetime(unused_since),
    }
    return [_key(row) for row in await connection.execute(_LIST, parameters)]


async def rotate(
    connection: AsyncConnection, project: Project, key_id: int, overlap: timedelta, actor: Actor, now: Instant
) -> NewKey:
    """A new key for the same app; the old one ends after `overlap`, or when it would have ended anyway."""
    old = await _locked(connection, project, key_id)
    if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
        raise ConflictError("key_not_active", f"key {key_id} is no longer good; create a new one instead")
    ends = Instant(now + overlap // timedelta(microseconds=1))
    if old.expires_at is not None:
        ends = min(ends, old.expires_at)
    new = await _insert(connection, project, old.app, None)
    await connection.execute(_EXPIRE, {"id": key_id, "expires_at": to_datetime(ends)})
    after = {"new_key": new.key.id, "old_expires_at": format_time(ends)}
    await audit.record(connection, actor, _act("key.rotate", project, old, before=to_json(old), after=after))
    return new


async def revoke(connection: AsyncConnection, project: Project, key_id: int, reason: str | None, actor: Actor) -> Key:
    """The key is good no longer; every writer knows within two seconds. Revoking it again changes nothing."""
    old = await _locked(connection, project, key_id)
    if old.revoked_at is not None:
        return old
    row = (await connection.execute(_REVOKE, {"id": key_id})).one()
    new = replace(old, revoked_at=_instant(row.revoked_at))
    act = _act("key.revoke", project, old, before=to_json(old), after=to_json(new), reason=reason)
    await audit.record(connection, actor, act)
    return new


def to_json(key: Key) -> dict[str, Any]:
    """The key in its public shape."""
    return {
        "id": key.id,
        "project_id": key.project,
        "app": key.app,
        "prefix": key.prefix,
        "created_at": format_time(key.created_at),
        "expires_at": _text(key.expires_at),
        "revoked_at": _text(key.revoked_at),
        "last_used_at": _text(key.last_used_at),
    }


async def _insert(connection: AsyncConnection, project: Project, app: str, expires_at: Instant | None) -> NewKey:
    found = (await connection.execute(_APP_ID, {"project_id": project.id, "name": app})).one()
    if found.disabled_at is not None:
        raise ConflictError(
            "app_disabled", f"the app {app} is disabled, so no key of it would be good: enable it first"
        )
    secret = KEY_MARK + secrets.token_hex(32)
    parameters = {
        "app_id": found.id,
        "prefix": secret[:_SHOWN],
        "hash": hash_of(secret),
        "expires_at": None if expires_at is None else to_datetime(expires_at),
    }
    row = (await connection.execute(_INSERT, parameters)).one()
    key = Key(row.id, app, secret[:_SHOWN], from_datetime(row.created_at), expires_at, None, None, project.public_id)
    return NewKey(key, Secret(secret))


async def _locked(connection: AsyncConnection, project: Project, key_id: int) -> Key:
    row = (await connection.execute(_LOCK, {"project_id": project.id, "id": key_id})).one_or_none()
    if row is None:
        raise UnknownError("unknown_key", f"project {project.public_id} has no key with id {key_id}")
    return _key(row)


def _key(row: Row[Any]) -> Key:
    return Key(
        row.id,
        row.app,
        row.prefix,
        from_datetime(row.created_at),
        _instant(row.expires_at),
        _instant(row.revoked_at),
        _instant(row.last_used_at),
        ProjectId(row.project),
    )


def _act(
    action: str, project: Project, key: Key, *, before: Any = None, after: Any = None, reason: str | None = None
) -> Act:
    return Act(action, project.id, f"key:{key.id}", reason, before, after)


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


def _text(moment: Instant | None) -> str | None:
    return None if moment is None else format_time(moment)


_APP_ID: Final = text("""
INSERT INTO apps (project_id, name) VALUES (:project_id, :name)
ON CONFLICT (project_id, name) DO UPDATE SET name = excluded.name RETURNING id, disabled_at
""")

_INSERT: Final = text("""
INSERT INTO api_keys (app_id, prefix, hash, expires_at) VALUES (:app_id, :prefix, :hash, :expires_at)
RETURNING id, created_at
""")

_COLUMNS: Final = """k.id, a.name AS app, k.prefix, k.created_at, k.expires_at, k.revoked_at, k.last_used_at,
    p.public_id AS project FROM api_keys k JOIN apps a ON a.id = k.app_id JOIN projects p ON p.id = a.project_id"""

_LIST: Final = text(f"""
SELECT {_COLUMNS}
WHERE (CAST(:project_id AS bigint) IS NULL OR a.project_id = CAST(:project_id AS bigint)) AND k.id > :after
    AND (CAST(:unused_since AS timestamptz) IS NULL
        OR k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
        AND coalesce(k.last_used_at, k.created_at) < CAST(:unused_since AS timestamptz))
ORDER BY k.id LIMIT CAST(:limit AS bigint)
""")

_LOCK: Final = text(f"""
SELECT {_COLUMNS} WHERE a.project_id = :project_id AND k.id = :id
FOR UPDATE OF k
""")

_EXPIRE: Final = text("UPDATE api_keys SET expires_at = :expires_at WHERE id = :id")

_REVOKE: Final = text("UPDATE api_keys SET revoked_at = now() WHERE id = :id RETURNING revoked_at")
