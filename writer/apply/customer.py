"""A customer is written: whose it is, and that it is gone. What it paid for for life stays."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import IdentifierError, user_id
from writer.apply import owners
from writer.apply.change import Written
from writer.domain.stripe.customer import Customer
from writer.recompute import UserKey, lock_users


async def write(connection: AsyncConnection, customer: Customer) -> Written:
    """Write the state. The caller holds the customer's lock, and assigns what it bought once this is committed."""
    if customer.deleted:
        gone = await connection.execute(_DELETE, {"id": customer.id})
        return Written(skipped=None if gone.rowcount else _NOBODYS)
    key = await _named(connection, customer)
    if key is None:
        held = await connection.execute(_EXISTS, {"id": customer.id})
        return Written(skipped=None if held.scalar_one() else _NOBODYS)
    refs = await lock_users(connection, [key])
    parameters = {"id": customer.id, "user_ref": refs[key], "livemode": customer.livemode}
    await connection.execute(_UPSERT, parameters)
    return Written()


async def _named(connection: AsyncConnection, customer: Customer) -> UserKey | None:
    """The user of one of our projects that the customer's metadata names."""
    named = customer.metadata.get("project_id")
    projects = (await owners.facts(connection, named, (), None)).known.projects
    if named is None or named not in projects:
        return None
    try:
        return UserKey(projects[named], user_id(customer.metadata.get("user_id", "")))
    except IdentifierError:
        return None


_NOBODYS: Final = "no user of ours"

_DELETE: Final = text("UPDATE stripe_customers SET deleted_at = coalesce(deleted_at, now()) WHERE id = :id")

_EXISTS: Final = text("SELECT EXISTS (SELECT FROM stripe_customers WHERE id = :id)")

# A customer that moves to another user is not that user's primary one: the user may have one already.
_UPSERT: Final = text("""
INSERT INTO stripe_customers (id, user_ref, livemode) VALUES (:id, :user_ref, :livemode)
ON CONFLICT (id) DO UPDATE SET
    user_ref = EXCLUDED.user_ref,
    is_primary = stripe_customers.is_primary AND stripe_customers.user_ref IS NOT DISTINCT FROM EXCLUDED.user_ref
""")
