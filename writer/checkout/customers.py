"""One Stripe customer for each user of a project, so that one app's portal cannot cancel another app's plan."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.identifiers import UserId
from writer.apply import customer_names, objects
from writer.apply.customer_names import METADATA, Name, Rank
from writer.auth import KeyHolder
from writer.db.transaction import Transactions
from writer.recompute import UserKey, lock_users


class CustomerStore(Protocol):
    """What is asked of Stripe."""

    async def create_customer(self, params: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """A new customer, or the one that the same key made within a day."""
        ...

    async def update_customer(self, id: str, params: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        """The customer as changed."""
        ...


class Customers:
    """Finds and makes users' customers.

    Two first purchases at the same moment may both find none. Their requests to Stripe then carry the same
    idempotency key, so Stripe makes one customer; whichever writes it down first wins, and the other takes that one.
    """

    def __init__(self, transactions: Transactions, store: CustomerStore, *, livemode: bool) -> None:
        self._transactions = transactions
        self._store = store
        self._livemode = livemode

    async def ensure(self, holder: KeyHolder, user: UserId, email: str | None = None) -> str:
        """The user's customer id (`cus_…`), made if there is none. `email` is given to a new one only."""
        key = UserKey(holder.project_id, user)

        async def choose(connection: AsyncConnection) -> tuple[str | None, int]:
            user_ref = (await lock_users(connection, [key]))[key]
            return await self._choose(connection, user_ref)

        found, generation = await self._transactions.run(choose)
        if found is not None:
            return found
        owner = {"user_id": user, "project_id": holder.project}
        made = await self._store.create_customer({"metadata": owner}, _idempotency_key(owner, generation))
        if email is not None and made.get("email") != email:
            # Not with the creation: two first purchases with two addresses would not share one idempotency key.
            await self._store.update_customer(made["id"], {"email": email})
        return await self._transactions.run(lambda connection: self._adopt(connection, holder, user, made["id"]))

    async def find(self, holder: KeyHolder, user: UserId) -> str | None:
        """The customer whose portal is the user's; None where they never came to a checkout."""
        parameters = {"project_id": holder.project_id, "user_id": user, "livemode": self._livemode}

        async def read(connection: AsyncConnection) -> str | None:
            found: str | None = (await connection.execute(_FIND, parameters)).scalar_one_or_none()
            return found

        return await self._transactions.run(read)

    async def retire(self, customer: str) -> None:
        """Stripe says that the customer is gone: the next purchase makes another."""

        async def write(connection: AsyncConnection) -> None:
            await objects.lock(connection, [customer])
            await connection.execute(_RETIRE, {"id": customer})

        await self._transactions.run(write)

    async def _choose(self, connection: AsyncConnection, user_ref: int) -> tuple[str | None, int]:
        parameters = {"user_ref": user_ref, "livemode": self._livemode}
        row = (await connection.execute(_CHOOSE, parameters)).one()
        if row.id is not None and not row.is_primary:
            await connection.execute(_PROMOTE, {"id": row.id})
        return row.id, row.generation

    async def _adopt(self, connection: AsyncConnection, holder: KeyHolder, user: UserId, made: str) -> str:
        await objects.lock(connection, [made])
        key = UserKey(holder.project_id, user)
        user_ref = (await lock_users(connection, [key]))[key]
        winner, _ = await self._choose(connection, user_ref)
        if winner is not None:
            return winner
        await customer_names.say(connection, made, METADATA, Name(Rank.METADATA, user, holder.project))
        parameters = {"id": made, "user_ref": user_ref, "user_id": user, "livemode": self._livemode}
        await connection.execute(_ADOPT, parameters)
        return made


def _idempotency_key(owner: Mapping[str, str], generation: int) -> str:
    # The generation counts customers that were deleted, for whom Stripe would give its old answer again.
    text_ = orjson.dumps([owner["project_id"], owner["user_id"], generation])
    return f"customer-{hashlib.sha256(text_).hexdigest()}"


# A customer that Stripe's events told of before we wrote it down is the same one, so it is taken. One that also paid
# for somebody else (from before this service), once or again and again, is not: its portal would show both.
_CHOOSE: Final = text("""
SELECT c.id, c.is_primary, (
    SELECT count(*) FROM stripe_customers d WHERE d.user_ref = :user_ref AND d.deleted_at IS NOT NULL) AS generation
FROM (SELECT) AS nothing LEFT JOIN LATERAL (
    SELECT c.id, c.is_primary FROM stripe_customers c
    WHERE c.user_ref = :user_ref AND c.deleted_at IS NULL AND (c.is_primary OR c.livemode = :livemode AND NOT EXISTS (
        SELECT FROM subscriptions s JOIN subscription_items i ON i.subscription_id = s.id
        WHERE s.customer_id = c.id AND i.user_ref IS DISTINCT FROM c.user_ref
        UNION ALL SELECT FROM purchases p JOIN purchase_lines l ON l.purchase_id = p.id
        WHERE p.customer_id = c.id AND l.user_ref IS DISTINCT FROM c.user_ref))
    ORDER BY c.is_primary DESC, c.created_at, c.id LIMIT 1) AS c ON true
""")

_PROMOTE: Final = text("UPDATE stripe_customers SET is_primary = true WHERE id = :id")

_ADOPT: Final = text("""
INSERT INTO stripe_customers (id, user_ref, user_id, is_primary, livemode)
VALUES (:id, :user_ref, :user_id, true, :livemode)
ON CONFLICT (id) DO UPDATE SET user_ref = excluded.user_ref, user_id = excluded.user_id, is_primary = true
""")

_RETIRE: Final = text("UPDATE stripe_customers SET deleted_at = now() WHERE id = :id AND deleted_at IS NULL")

_FIND: Final = text("""
SELECT c.id FROM stripe_customers c JOIN users u ON c.user_ref = coalesce(u.merged_into, u.id)
WHERE u.project_id = :project_id AND u.user_id = :user_id AND c.livemode = :livemode AND c.deleted_at IS NULL
ORDER BY c.is_primary DESC, c.created_at DESC, c.id LIMIT 1
""")
