"""Customers: whose they are by their metadata, and whether they still exist."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.apply.customer import name_of
from writer.domain.stripe.customer import Customer, parse_customer
from writer.domain.stripe.kinds import ObjectKind
from writer.reconcile.comparing.facts import Comparison, Facts, Sides


async def _sides(connection: AsyncConnection, parsed: Sequence[Customer]) -> Mapping[str, Sides]:
    rows = await connection.execute(_HELD, {"ids": [one.id for one in parsed]})
    held = {row.id: row for row in rows}
    return {one.id: sides for one in parsed if (sides := _compared(_told(one), held.get(one.id))) is not None}


def _compared(told: Facts, row: Row[Any] | None) -> Sides | None:
    """None: neither is anything known of it here, nor does it name anybody."""
    if row is None:
        return Sides(told, None) if told.get("user") else None
    held = {"deleted": row.deleted_at is not None, "project": row.project, "user": row.user_id}
    return Sides(told, {name: held[name] for name in told})


def _told(one: Customer) -> Facts:
    """What the customer says; only that it is gone where it is."""
    if one.deleted:
        return {"deleted": True}
    name = name_of(one)
    return {"project": None, "user": None} if name is None else {"project": name.project, "user": name.user}


_HELD: Final = text("""
SELECT c.id, c.deleted_at, n.user_id, n.project
FROM stripe_customers c LEFT JOIN customer_names n ON n.customer_id = c.id AND n.said_by = 'metadata'
WHERE c.id = ANY(CAST(:ids AS text[]))
""")

CUSTOMERS: Final = Comparison(ObjectKind.CUSTOMER, parse_customer, _sides)
