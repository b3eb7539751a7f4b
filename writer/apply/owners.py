"""What the database knows about whose something is, and the locks of those it was and will be."""

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from writer.domain.stripe.ownership import Known
from writer.recompute import UserKey, lock_users

NOT_OURS: Final = "no price of ours"
"""Why something of another app, or of none, is left alone."""


async def known(connection: AsyncConnection, project: str | None, price_ids: Collection[str]) -> Known:
    """The project that metadata names, and the prices' projects, which stay as they are to the transaction's end."""
    parameters = {"project": project, "prices": list(price_ids)}
    row = (await connection.execute(_KNOWN, parameters)).one()
    return Known(row.projects or {}, row.price_projects or {})


async def customer_user(connection: AsyncConnection, customer_id: str | None) -> UserId | None:
    """The user whose Stripe customer it is. The caller holds the customer's lock."""
    return (await connection.execute(_CUSTOMER_USER, {"id": customer_id})).scalar_one_or_none()


async def lock(connection: AsyncConnection, before: Collection[int], after: Iterable[UserKey]) -> dict[UserKey, int]:
    """Lock whom something belonged to (users.id) and whom it will belong to, all in one order; everybody's users.id."""
    old = []
    if before:
        rows = await connection.execute(_KEYS, {"refs": list(before)})
        old = [UserKey(row.project_id, UserId(row.user_id)) for row in rows]
    return await lock_users(connection, [*old, *after])


# A price's project may not move between this reading and the commit, or nobody would find the item to move it too.
_KNOWN: Final = text("""
SELECT
    (SELECT json_object_agg(public_id, id) FROM projects WHERE public_id = CAST(:project AS text)) AS projects,
    (SELECT json_object_agg(held.id, held.project_id) FROM (
        SELECT id, project_id FROM prices WHERE id = ANY(:prices) ORDER BY id FOR SHARE) held
     WHERE held.project_id IS NOT NULL) AS price_projects
""")

_CUSTOMER_USER: Final = text("""
SELECT u.user_id FROM stripe_customers c JOIN users u ON u.id = c.user_ref WHERE c.id = CAST(:id AS text)
""")

_KEYS: Final = text("SELECT project_id, user_id FROM users WHERE id = ANY(:refs)")
