"""Subscriptions and purchases as held, alike: whose they are, and what that follows from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.db.transaction import Transactions


@dataclass(frozen=True, slots=True)
class Bought:
    """One of them. `projects` are public ids: its metadata's, else its prices'."""

    id: str
    customer_id: str | None
    user_id: str | None
    claimed_user_id: str | None
    named_user: str | None
    """By its metadata, which counts before any claim."""
    unassigned_reason: str | None
    projects: tuple[str, ...]
    prices: tuple[str, ...]


async def find(connection: AsyncConnection, object_id: str) -> Bought | None:
    """The one of that id; None where it is not held."""
    row = (await connection.execute(_ONE, {"id": object_id})).one_or_none()
    return None if row is None else _bought(row)


async def held(connection: AsyncConnection, object_id: str) -> Bought:
    """The one of that id, which is held."""
    return _bought((await connection.execute(_ONE, {"id": object_id})).one())


async def by_customer(connection: AsyncConnection, customer_id: str) -> Sequence[Bought]:
    """Everything that a customer bought, as far as it is held."""
    return [_bought(row) for row in await connection.execute(_BY_CUSTOMER, {"customer": customer_id})]


async def look(transactions: Transactions, object_id: str) -> Sequence[Bought]:
    """The one of that id, or all that a customer (`cus_…`) bought; empty where none is held."""

    async def work(connection: AsyncConnection) -> Sequence[Bought]:
        if object_id.startswith("cus_"):
            return await by_customer(connection, object_id)
        found = await find(connection, object_id)
        return [] if found is None else [found]

    return await transactions.run(work)


def _bought(row: Row[Any]) -> Bought:
    return Bought(
        id=row.id,
        customer_id=row.customer_id,
        user_id=row.user_id,
        claimed_user_id=row.claimed_user_id,
        named_user=row.named_user,
        unassigned_reason=row.unassigned_reason,
        projects=tuple(row.projects),
        prices=tuple(row.prices),
    )


_SQL: Final = """
SELECT n.id, n.customer_id, n.user_id, n.claimed_user_id, n.unassigned_reason,
    nullif(n.metadata->>'user_id', '') AS named_user,
    coalesce((SELECT array_agg(DISTINCT j.public_id) FROM projects j WHERE j.id = n.project_id
        OR n.project_id IS NULL AND j.id IN (SELECT c.project_id FROM prices c WHERE c.id = ANY(n.prices))), '{{}}')
        AS projects,
    n.prices
FROM (
    SELECT id, customer_id, user_id, claimed_user_id, unassigned_reason, metadata, project_id,
        ARRAY(SELECT i.price_id FROM subscription_items i WHERE i.subscription_id = s.id ORDER BY 1) AS prices
    FROM subscriptions s WHERE s.{which}
    UNION ALL
    SELECT id, customer_id, user_id, claimed_user_id, unassigned_reason, metadata, project_id,
        ARRAY(SELECT l.price_id FROM purchase_lines l WHERE l.purchase_id = p.id ORDER BY 1)
    FROM purchases p WHERE p.{which}
) n ORDER BY n.id"""
_ONE: Final = text(_SQL.format(which="id = CAST(:id AS text)"))
_BY_CUSTOMER: Final = text(_SQL.format(which="customer_id = CAST(:customer AS text)"))
