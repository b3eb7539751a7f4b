"""Users as operators look for them: searched for by their id or by what they have at Stripe, and shown whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, format_time, from_datetime
from common.identifiers import UserId
from writer.operations.projects import Project
from writer.refusals import UnknownError

_MOST_OBJECTS: Final = 100
"""Of each kind that a user is shown with."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of a project. `entitlements`: rows of the document, ended ones of the last 30 days included."""

    project: str
    user_id: UserId
    entitlements: int
    created_at: Instant
    merged_into: UserId | None
    erased_at: Instant | None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users are meant. `query`: how their ids begin; or a Stripe customer, subscription or session of theirs."""

    project_id: int | None = None
    query: str | None = None


async def search(
    connection: AsyncConnection, chosen: UserFilter, after: tuple[str, str] | None, limit: int
) -> Sequence[User]:
    """Users by project and id, those behind `after` (project, user_id), at most `limit`."""
    place = after or (None, None)
    parameters = {
        "project_id": chosen.project_id,
        "query": chosen.query,
        "after_project": place[0],
        "after_user": place[1],
        "limit": limit,
    }
    return [_user(row) for row in await connection.execute(_SEARCH, parameters)]


async def show(connection: AsyncConnection, project: Project, user: UserId) -> dict[str, Any]:
    """A user with what they have and who they were; UnknownError `unknown_user`."""
    named = {"project_id": project.id, "user_id": user}
    row = (await connection.execute(_ONE, named)).one_or_none()
    if row is None:
        raise UnknownError("unknown_user", f"project {project.public_id} has no user {user}")
    parameters = {"ref": row.id, "most": _MOST_OBJECTS}
    parts = (await connection.execute(_PARTS, parameters)).one()
    return {
        **to_json(_user(row)),
        "merged_from": parts.merged_from,
        "customers": parts.customers,
        "subscriptions": parts.subscriptions,
        "purchases": parts.purchases,
        "grants": parts.grants,
        "epoch": project.position.epoch,
        "revision": parts.revision,
    }


def to_json(user: User) -> dict[str, Any]:
    """The user in its public shape."""
    return {
        "project_id": user.project,
        "user_id": user.user_id,
        "entitlements": user.entitlements,
        "created_at": format_time(user.created_at),
        "merged_into": user.merged_into,
        "erased_at": None if user.erased_at is None else format_time(user.erased_at),
    }


def _user(row: Row[Any]) -> User:
    return User(
        project=row.public_id,
        user_id=UserId(row.user_id),
        entitlements=row.entitlements,
        created_at=from_datetime(row.created_at),
        merged_into=None if row.merged_into is None else UserId(row.merged_into),
        erased_at=_instant(row.erased_at),
    )


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else from_datetime(moment)


_COLUMNS: Final = """
SELECT u.id, p.public_id, u.user_id, u.created_at, u.erased_at, m.user_id AS merged_into,
    (SELECT count(*) FROM entitlements e WHERE e.user_ref = u.id) AS entitlements
FROM users u JOIN projects p ON p.id = u.project_id LEFT JOIN users m ON m.id = u.merged_into
"""

_SEARCH: Final = text(f"""{_COLUMNS}
WHERE (CAST(:project_id AS bigint) IS NULL OR u.project_id = CAST(:project_id AS bigint))
    AND (CAST(:query AS text) IS NULL OR starts_with(u.user_id, CAST(:query AS text)) OR u.id IN (
        SELECT user_ref FROM stripe_customers WHERE id = CAST(:query AS text)
        UNION ALL SELECT user_ref FROM subscription_items WHERE subscription_id = CAST(:query AS text)
        UNION ALL SELECT user_ref FROM purchase_lines WHERE purchase_id = CAST(:query AS text)))
    AND (CAST(:after_user AS text) IS NULL OR (p.public_id, u.user_id) > (:after_project, CAST(:after_user AS text)))
ORDER BY p.public_id, u.user_id LIMIT :limit
""")  # noqa: S608 - constants of ours

_ONE: Final = text(f"{_COLUMNS} WHERE u.project_id = :project_id AND u.user_id = :user_id")

_TIMES: Final = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""


def _time(column: str) -> str:
    return _TIMES.format(column)


_PARTS: Final = text(f"""
SELECT coalesce((SELECT revision FROM documents WHERE user_ref = :ref), 0) AS revision,
    ARRAY(SELECT user_id FROM users WHERE merged_into = :ref ORDER BY user_id) AS merged_from,
    (SELECT coalesce(json_agg(c), '[]') FROM (
        SELECT id AS customer_id, is_primary, deleted_at IS NOT NULL AS deleted FROM stripe_customers
        WHERE user_ref = :ref ORDER BY id LIMIT :most) c) AS customers,
    (SELECT coalesce(json_agg(s), '[]') FROM (
        SELECT s.id, s.status, s.customer_id, {_time("s.started_at")} AS started_at, {_time("s.ended_at")} AS ended_at,
            s.cancel_at_period_end, array_agg(i.price_id ORDER BY i.id) AS prices
        FROM subscription_items i JOIN subscriptions s ON s.id = i.subscription_id WHERE i.user_ref = :ref
        GROUP BY s.id ORDER BY s.started_at DESC, s.id LIMIT :most) s) AS subscriptions,
    (SELECT coalesce(json_agg(b), '[]') FROM (
        SELECT p.id, p.payment_status, p.customer_id, p.invoice_id, p.amount_total, p.currency,
            {_time("p.completed_at")} AS completed_at, array_agg(l.price_id ORDER BY l.id) AS prices
        FROM purchase_lines l JOIN purchases p ON p.id = l.purchase_id WHERE l.user_ref = :ref
        GROUP BY p.id ORDER BY p.completed_at DESC, p.id LIMIT :most) b) AS purchases,
    (SELECT coalesce(json_agg(g), '[]') FROM (
        SELECT id AS grant_id, feature_code AS feature, value, {_time("valid_from")} AS valid_from,
            {_time("valid_to")} AS valid_to, reason, actor, {_time("revoked_at")} AS revoked_at
        FROM manual_grants WHERE user_ref = :ref ORDER BY id DESC LIMIT :most) g) AS grants
""")  # noqa: S608 - constants of ours
