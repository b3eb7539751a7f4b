"""A customer is written: whose it is by all that says so, and that it is gone. What it paid for for life stays.

Its user counts in every project; its account in one of them (`user_ref`) is for checkout and portal.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import IdentifierError, UserId, user_id
from writer.apply import customer_names
from writer.apply.change import Written
from writer.apply.customer_names import METADATA, OPERATOR, Name, Owner, Rank
from writer.domain.stripe.customer import Customer
from writer.recompute import UserKey, lock_users

NOBODYS: Final = "no user of ours"
"""Why a customer of nobody's is left alone."""


async def write(connection: AsyncConnection, customer: Customer) -> Written:
    """Write the state. The caller holds the customer's lock, and assigns what it bought once this is committed."""
    if not customer.stub:
        await customer_names.say(connection, customer.id, METADATA, name_of(customer))
    owner = await customer_names.owner(connection, customer.id)
    refs = await lock_users(connection, owner.keys)
    livemode = None if customer.stub else customer.livemode
    await settle(connection, owner, refs, livemode=livemode, gone=customer.deleted)
    return Written(skipped=NOBODYS if owner.user is None and owner.before is None else None)


async def claim(
    connection: AsyncConnection, customer_id: str, project: str, user: UserId, *, livemode: bool, gone: bool = False
) -> None:
    """Keep an operator's word for a user of a project that exists. As with `write`."""
    await customer_names.say(connection, customer_id, OPERATOR, Name(Rank.OPERATOR, user, project))
    owner = await customer_names.owner(connection, customer_id)
    await settle(connection, owner, await lock_users(connection, owner.keys), livemode=livemode, gone=gone)


async def settle_again(connection: AsyncConnection, customer_id: str) -> None:
    """Decide again whose it is, after projects or prices have changed. As with `write`."""
    owner = await customer_names.owner(connection, customer_id)
    await settle(connection, owner, await lock_users(connection, owner.keys), livemode=None)


async def settle(
    connection: AsyncConnection, owner: Owner, refs: Mapping[UserKey, int], *, livemode: bool | None, gone: bool = False
) -> None:
    """Write whose it is. The caller holds the locks of the customer and of that user; `refs`: their users.id."""
    parameters = {
        "id": owner.customer_id,
        "user_id": owner.user,
        "user_ref": None if owner.key is None else refs[owner.key],
        "livemode": livemode,
        "gone": gone,
    }
    await connection.execute(_SETTLE, parameters)


def name_of(customer: Customer) -> Name | None:
    """Whom the customer's metadata name: a user of a project, ours or not."""
    project = customer.metadata.get("project_id")
    try:
        user = user_id(customer.metadata.get("user_id", ""))
    except IdentifierError:
        return None
    return None if project is None else Name(Rank.METADATA, user, project)


# A customer that moves to another user is not that user's primary one: the user may have one already.
_SETTLE: Final = text("""
INSERT INTO stripe_customers (id, user_id, user_ref, livemode, deleted_at)
VALUES (:id, :user_id, :user_ref, :livemode, CASE WHEN CAST(:gone AS boolean) THEN now() END)
ON CONFLICT (id) DO UPDATE SET
    user_id = EXCLUDED.user_id, user_ref = EXCLUDED.user_ref,
    livemode = coalesce(EXCLUDED.livemode, stripe_customers.livemode),
    deleted_at = coalesce(stripe_customers.deleted_at, EXCLUDED.deleted_at),
    is_primary = stripe_customers.is_primary AND stripe_customers.user_ref IS NOT DISTINCT FROM EXCLUDED.user_ref
""")
