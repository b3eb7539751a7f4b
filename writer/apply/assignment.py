"""What was bought is assigned again after what says whose it is has changed: a customer, a price, a session.

Found by comparing states, so that work that was cut off is found again.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from writer.apply import objects, purchase, subscription
from writer.apply.change import Written
from writer.db.transaction import Transactions
from writer.outbox import Cause, Revision
from writer.recompute import Recompute

Step = Callable[[AsyncConnection], Awaitable[None]]
"""What comes before assigning again, in its transaction and under its locks."""


async def _no_step(_: AsyncConnection) -> None:
    """Nothing comes before."""


class Assignment:
    """Assigns subscriptions and purchases again, each in a transaction of its own, under its own locks."""

    def __init__(self, engine: AsyncEngine, transactions: Transactions, recompute: Recompute) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._transactions = transactions
        self._recompute = recompute

    async def of_customer(self, customer_id: str | None, subscription_id: str | None, cause: Cause) -> list[Revision]:
        """Whatever the customer bought, and the subscription, where its user is not the one it should be."""
        subscriptions = await self._ids(
            _OF_CUSTOMER_SUBSCRIPTIONS, {"customer": customer_id, "subscription": subscription_id}
        )
        purchases = await self._ids(_OF_CUSTOMER_PURCHASES, {"customer": customer_id})
        return await self._again(subscriptions, purchases, cause)

    async def of_prices(self, price_ids: Collection[str], cause: Cause) -> list[Revision]:
        """Whatever was bought by these prices, where its project is not the price's."""
        parameters = {"prices": list(price_ids)}
        subscriptions = await self._ids(_OF_PRICES_SUBSCRIPTIONS, parameters)
        return await self._again(subscriptions, await self._ids(_OF_PRICES_PURCHASES, parameters), cause)

    async def of_product(self, product_id: str, cause: Cause) -> list[Revision]:
        """Whatever was bought by the product's prices."""
        return await self.of_prices(await self._ids(_PRICES, {"id": product_id}), cause)

    async def of_project(self, public_id: str, cause: Cause) -> list[Revision]:
        """Whatever named the project before it existed."""
        parameters = {"project": public_id}
        subscriptions = await self._ids(_OF_PROJECT_SUBSCRIPTIONS, parameters)
        return await self._again(subscriptions, await self._ids(_OF_PROJECT_PURCHASES, parameters), cause)

    async def subscription(self, subscription_id: str, cause: Cause, first: Step = _no_step) -> list[Revision]:
        """One subscription that is held, as with a claim, which is the first step."""

        async def work(connection: AsyncConnection) -> Written:
            customer = await connection.execute(_CUSTOMER_OF_SUBSCRIPTION, {"id": subscription_id})
            await objects.lock(connection, {subscription_id, customer.scalar_one()})
            await first(connection)
            held = await subscription.load(connection, subscription_id)
            return await subscription.write(connection, held, self._recompute, cause)

        return await self._run(work)

    async def purchase(self, session_id: str, cause: Cause, first: Step = _no_step) -> list[Revision]:
        """One purchase that is held, as with a claim, which is the first step."""

        async def work(connection: AsyncConnection) -> Written:
            linked = (await connection.execute(_LINKS_OF_PURCHASE, {"id": session_id})).one()
            await objects.lock(connection, {session_id, *(name for name in linked if name is not None)})
            await first(connection)
            held = await purchase.load(connection, session_id)
            return await purchase.write(connection, held, self._recompute, cause)

        return await self._run(work)

    async def _again(self, subscriptions: list[str], purchases: list[str], cause: Cause) -> list[Revision]:
        revisions = []
        for one in subscriptions:
            revisions += await self.subscription(one, cause)
        for one in purchases:
            revisions += await self.purchase(one, cause)
        return revisions

    async def _ids(self, statement: TextClause, parameters: dict[str, Any]) -> list[str]:
        async with self._engine.connect() as connection:
            return list((await connection.execute(statement, parameters)).scalars())

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[Written]]) -> list[Revision]:
        return (await self._transactions.run(work)).revisions


_OF_CUSTOMER_SUBSCRIPTIONS: Final = text("""
SELECT s.id FROM subscriptions s
LEFT JOIN stripe_customers c ON c.id = s.customer_id
WHERE (s.customer_id = CAST(:customer AS text) OR s.id = CAST(:subscription AS text))
    AND s.user_id IS DISTINCT FROM
        coalesce(nullif(s.metadata->>'user_id', ''), s.claimed_user_id, s.session_user_id, c.user_id)
ORDER BY s.id
""")

_OF_CUSTOMER_PURCHASES: Final = text("""
SELECT p.id FROM purchases p
LEFT JOIN stripe_customers c ON c.id = p.customer_id
WHERE p.customer_id = CAST(:customer AS text)
    AND p.user_id IS DISTINCT FROM
        coalesce(nullif(p.metadata->>'user_id', ''), p.claimed_user_id, p.client_reference_id, c.user_id)
ORDER BY p.id
""")

_OF_PRICES_SUBSCRIPTIONS: Final = text("""
SELECT DISTINCT s.id FROM subscription_items i
JOIN subscriptions s ON s.id = i.subscription_id JOIN prices p ON p.id = i.price_id
LEFT JOIN users u ON u.id = i.user_ref
WHERE i.price_id = ANY(:prices) AND CASE WHEN s.project_id IS NULL
    THEN p.project_id IS DISTINCT FROM u.project_id
    ELSE coalesce(p.project_id <> s.project_id, false) <> (s.unassigned_reason IS NOT NULL) END
ORDER BY s.id
""")

_OF_PRICES_PURCHASES: Final = text("""
SELECT DISTINCT s.id FROM purchase_lines i
JOIN purchases s ON s.id = i.purchase_id JOIN prices p ON p.id = i.price_id
LEFT JOIN users u ON u.id = i.user_ref
WHERE i.price_id = ANY(:prices) AND CASE WHEN s.project_id IS NULL
    THEN p.project_id IS DISTINCT FROM u.project_id
    ELSE coalesce(p.project_id <> s.project_id, false) <> (s.unassigned_reason IS NOT NULL) END
ORDER BY s.id
""")

_OF_PROJECT_SUBSCRIPTIONS: Final = text("""
SELECT id FROM subscriptions WHERE project_id IS NULL AND metadata->>'project_id' = :project ORDER BY id
""")

_OF_PROJECT_PURCHASES: Final = text("""
SELECT id FROM purchases WHERE project_id IS NULL AND metadata->>'project_id' = :project ORDER BY id
""")

_PRICES: Final = text("SELECT id FROM prices WHERE product_id = :id ORDER BY id")

_CUSTOMER_OF_SUBSCRIPTION: Final = text("SELECT customer_id FROM subscriptions WHERE id = :id")

_LINKS_OF_PURCHASE: Final = text("SELECT customer_id, payment_intent FROM purchases WHERE id = :id")
