"""What the database knows about whose something is, and the locks of those it was and will be."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from writer.db.direct import Statement
from writer.domain.stripe.ownership import Known
from writer.recompute import UserKey, lock_users

NOT_OURS: Final = "no price of ours"
"""Why something of another app, or of none, is left alone."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whose something is, besides what it says itself."""

    known: Known
    """The project that metadata names, and the prices' projects."""
    customer_user: UserId | None
    """The user whose Stripe customer it is."""


async def facts(
    connection: AsyncConnection, project: str | None, price_ids: Collection[str], customer_id: str | None
) -> Facts:
    """The facts as they stay to the transaction's end. The caller holds the customer's lock."""
    parameters = {"project": project, "prices": list(price_ids), "customer": customer_id}
    (row,) = await _FACTS.run(connection, parameters)
    if project is not None and row.projects is None:
        await keep_unknown(connection, [project])
        (row,) = await _FACTS.run(connection, parameters)
    user = None if row.customer_user is None else UserId(row.customer_user)
    return Facts(Known(row.projects or {}, row.price_projects or {}), user)


async def keep_unknown(connection: AsyncConnection, projects: Iterable[str]) -> None:
    """Let whoever makes such a project look for what names it only after this transaction's end.

    What is read next is the last word: a project that still does not exist is found to be named by what is written.
    """
    for project in sorted(projects):
        await connection.execute(_KEEP_UNKNOWN, {"project": project})


async def outlast_unknowing(connection: AsyncConnection, project: str) -> None:
    """Return once nobody is left who writes as if this project, which exists, did not."""
    await connection.execute(_OUTLAST_UNKNOWING, {"project": project})


async def lock(
    connection: AsyncConnection, before: Iterable[tuple[int, str]] | None, after: Iterable[UserKey]
) -> dict[UserKey, int]:
    """Lock whom something belonged to and whom it will belong to, all in one order; everybody's users.id."""
    old = [UserKey(project_id, UserId(user_id)) for project_id, user_id in before or ()]
    return await lock_users(connection, [*old, *after])


_KEEP_UNKNOWN: Final = text("SELECT pg_advisory_xact_lock_shared(707, hashtext(:project))")

_OUTLAST_UNKNOWING: Final = text("SELECT pg_advisory_xact_lock(707, hashtext(:project))")

# A price's project may not move between this reading and the commit, or nobody would find the item to move it too.
_FACTS: Final = Statement("""
SELECT
    (SELECT json_object_agg(public_id, id) FROM projects WHERE public_id = CAST(:project AS text)) AS projects,
    (SELECT json_object_agg(held.id, held.project_id) FROM (
        SELECT id, project_id FROM prices WHERE id = ANY(:prices) ORDER BY id FOR SHARE) held
     WHERE held.project_id IS NOT NULL) AS price_projects,
    (SELECT user_id FROM stripe_customers WHERE id = CAST(:customer AS text)) AS customer_user
""")
