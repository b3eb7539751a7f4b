"""Merging: somebody who came under one name, anonymous or since renamed, is the user of another one.

Everything that gives the old user something is the other's from then on, and both are computed again. The old name
stays as one more name of the other: `writer.recompute.lock_users` follows it, so whatever names the old user later, at
Stripe or here, is the other's too.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import ProjectId, UserId
from common.position import Position
from writer.operations import audit
from writer.operations.audit import Act, Actor
from writer.operations.projects import Project, find_by_id
from writer.outbox import Cause
from writer.recompute import Recompute, UserKey, lock_users
from writer.refusals import ConflictError, InvalidError, UnknownError


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to. `moved`: how many of each kind; none where it was so before."""

    project: ProjectId
    old: UserId
    new: UserId
    moved: dict[str, int]
    position: Position
    changed: bool


async def merge(
    connection: AsyncConnection,
    recompute: Recompute,
    project: Project,
    old: UserId,
    new: UserId,
    reason: str | None,
    actor: Actor,
) -> Merged:
    """Make the user `old` of a project its user `new`. Again changes nothing."""
    if old == new:
        raise InvalidError("invalid_merge", "a user cannot be merged into itself")
    known = (await connection.execute(_KNOWN, {"project_id": project.id, "user_ids": [old, new]})).all()
    rows = {row.user_id: row for row in known}
    if old not in rows:
        raise UnknownError("unknown_user", f"project {project.public_id} has no user {old}")
    if any(row.erased_at is not None for row in rows.values()):
        raise ConflictError("user_erased", "an erased user stays nobody: it cannot be merged")
    keys = [UserKey(project.id, old), UserKey(project.id, new)]
    refs = await lock_users(connection, keys)
    source, target = refs[keys[0]], refs[keys[1]]
    if source == target:  # as a merge before has made it, whichever way
        return Merged(project.public_id, old, new, {}, await _position(connection, project), changed=False)
    if source != rows[old].id:
        into = (await connection.execute(_NAME, {"ref": source})).scalar_one()
        raise ConflictError("already_merged", f"{old} was merged into {into} before; merge {into} into {new}")
    moved = dict((await connection.execute(_MOVE, {"old": source, "new": target})).one()._mapping)  # noqa: SLF001
    after = {"user_id": new, "moved": moved}
    act = Act("user.merge", project.id, f"user:{old}", reason, before={"user_id": old}, after=after)
    await audit.record(connection, actor, act)
    revisions = await recompute.users(connection, [source, target], Cause(f"merge:{actor.name}"))
    return Merged(project.public_id, old, new, moved, await _position(connection, project), bool(revisions))


def to_json(done: Merged) -> dict[str, Any]:
    """The outcome in its public shape."""
    return {
        "project_id": done.project,
        "from": done.old,
        "into": done.new,
        "moved": done.moved,
        "changed": done.changed,
        "token": done.position.token,
    }


async def _position(connection: AsyncConnection, project: Project) -> Position:
    return (await find_by_id(connection, project.id)).position


_KNOWN: Final = text("""
SELECT id, user_id, erased_at FROM users WHERE project_id = :project_id AND user_id = ANY(CAST(:user_ids AS text[]))
""")

_NAME: Final = text("SELECT user_id FROM users WHERE id = :ref")

# A user has one primary customer: that of the user who stays, where there is one.
_MOVE: Final = text("""
WITH named AS (
    UPDATE users SET merged_into = :new WHERE id = :old OR merged_into = :old
), items AS (
    UPDATE subscription_items SET user_ref = :new WHERE user_ref = :old RETURNING subscription_id
), lines AS (
    UPDATE purchase_lines SET user_ref = :new WHERE user_ref = :old RETURNING purchase_id
), grants AS (
    UPDATE manual_grants SET user_ref = :new WHERE user_ref = :old RETURNING id
), customers AS (
    UPDATE stripe_customers SET user_ref = :new, is_primary = is_primary AND NOT EXISTS (
        SELECT FROM stripe_customers c WHERE c.user_ref = :new AND c.is_primary AND c.deleted_at IS NULL)
    WHERE user_ref = :old RETURNING id
), checkouts AS (
    UPDATE checkout_requests SET user_ref = :new WHERE user_ref = :old
)
SELECT (SELECT count(DISTINCT subscription_id) FROM items) AS subscriptions,
    (SELECT count(DISTINCT purchase_id) FROM lines) AS purchases,
    (SELECT count(*) FROM grants) AS grants, (SELECT count(*) FROM customers) AS customers
""")
