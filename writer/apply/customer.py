"""A customer is written: whose it is, and that it is gone. What it paid for for life stays.

Whose it is is told by its metadata, else by an operator, else by the earliest of its complete sessions that names
anybody: each is kept by itself, so that it does not matter in which order they come to be known. The name counts in
every project; the account of a user in one project (`user_ref`) is for checkout and portal.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Instant, to_datetime
from common.identifiers import IdentifierError, UserId, user_id
from writer.apply import owners
from writer.apply.change import Written
from writer.domain.stripe.customer import Customer
from writer.recompute import UserKey, lock_users


@dataclass(frozen=True, slots=True)
class Hearsay:
    """Whom a complete session of a customer names."""

    customer_id: str
    session_id: str
    created: Instant
    user: UserId
    claimed: bool
    """By an operator, where the session itself names nobody; it counts after every session that does."""
    livemode: bool


async def write(connection: AsyncConnection, customer: Customer) -> Written:
    """Write the state. The caller holds the customer's lock, and assigns what it bought once this is committed."""
    parameters = {"id": customer.id, "livemode": customer.livemode, "gone": customer.deleted}
    key = None if customer.stub else await _named(connection, customer)
    if key is not None:
        refs = await lock_users(connection, [key])
        await connection.execute(_NAME, {**parameters, "user_ref": refs[key], "user_id": key.user_id})
        return Written()
    unnamed = await connection.execute(_WRITE, {"id": customer.id, "gone": customer.deleted, "stub": customer.stub})
    await connection.execute(_LET_GO, {"id": customer.id})
    return Written(skipped=None if unnamed.rowcount else _NOBODYS)


async def hear(connection: AsyncConnection, hearsay: Hearsay, user_ref: int | None) -> None:
    """Keep whom a session names, unless an earlier one does; `user_ref` of that name in the session's project.

    The caller holds the locks of the customer and of that user.
    """
    parameters = {
        "id": hearsay.customer_id,
        "livemode": hearsay.livemode,
        "user_id": hearsay.user,
        "session_id": hearsay.session_id,
        "created": to_datetime(hearsay.created),
        "claimed": hearsay.claimed,
    }
    await connection.execute(_HEAR, parameters)
    await connection.execute(_LET_GO, {"id": hearsay.customer_id})
    parameters = {"id": hearsay.customer_id, "user_id": hearsay.user, "user_ref": user_ref}
    await connection.execute(_TAKE, parameters)


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

# A customer that moves to another user is not that user's primary one: the user may have one already.
_NAME: Final = text("""
INSERT INTO stripe_customers (id, user_ref, named_user_id, livemode, deleted_at)
VALUES (:id, :user_ref, :user_id, :livemode, CASE WHEN CAST(:gone AS boolean) THEN now() END)
ON CONFLICT (id) DO UPDATE SET
    user_ref = EXCLUDED.user_ref, named_user_id = EXCLUDED.named_user_id,
    deleted_at = coalesce(stripe_customers.deleted_at, EXCLUDED.deleted_at),
    is_primary = stripe_customers.is_primary AND stripe_customers.user_ref IS NOT DISTINCT FROM EXCLUDED.user_ref
""")

_WRITE: Final = text("""
UPDATE stripe_customers SET
    named_user_id = CASE WHEN CAST(:stub AS boolean) THEN named_user_id END,
    deleted_at = CASE WHEN CAST(:gone AS boolean) THEN coalesce(deleted_at, now()) ELSE deleted_at END
WHERE id = :id
""")

# The order is of the sessions, not of their coming: the one that is kept already only learns of another claim.
_HEAR: Final = text("""
INSERT INTO stripe_customers (id, livemode, session_user_id, session_created, session_id)
VALUES (:id, :livemode, :user_id,
    CASE WHEN CAST(:claimed AS boolean) THEN 'infinity' ELSE CAST(:created AS timestamptz) END, :session_id)
ON CONFLICT (id) DO UPDATE SET
    session_user_id = EXCLUDED.session_user_id, session_id = EXCLUDED.session_id,
    session_created = CASE WHEN stripe_customers.session_id = EXCLUDED.session_id
        THEN least(stripe_customers.session_created, EXCLUDED.session_created) ELSE EXCLUDED.session_created END
WHERE stripe_customers.session_id IS NULL OR stripe_customers.session_id = EXCLUDED.session_id
    OR (EXCLUDED.session_created, EXCLUDED.session_id)
        < (stripe_customers.session_created, stripe_customers.session_id)
""")

_LET_GO: Final = text("""
UPDATE stripe_customers c SET user_ref = NULL, is_primary = false
FROM users u WHERE c.id = :id AND u.id = c.user_ref AND u.user_id IS DISTINCT FROM c.user_id
""")

_TAKE: Final = text("""
UPDATE stripe_customers SET user_ref = CAST(:user_ref AS bigint)
WHERE id = :id AND user_ref IS NULL AND user_id = :user_id AND CAST(:user_ref AS bigint) IS NOT NULL
""")
