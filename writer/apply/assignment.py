"""What was bought is assigned again after what says whose it is has changed: a customer, a price, a session."""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from writer.apply import customer, misassigned, objects, owners, purchase, subscription
from writer.apply.change import Written
from writer.apply.misassigned import Statements
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
        parameters = {"customer": customer_id, "subscription": subscription_id}
        return await self._bought(
            misassigned.CUSTOMERS_SUBSCRIPTIONS, misassigned.CUSTOMERS_PURCHASES, parameters, cause
        )

    async def of_prices(self, price_ids: Collection[str], cause: Cause) -> list[Revision]:
        """Whatever was bought by these prices, where its project is not the price's, and whom such sales make known."""
        parameters = {"prices": list(price_ids)}
        await self._customers(misassigned.PRICES_CUSTOMERS, parameters)
        return await self._bought(misassigned.PRICES_SUBSCRIPTIONS, misassigned.PRICES_PURCHASES, parameters, cause)

    async def of_product(self, product_id: str, cause: Cause) -> list[Revision]:
        """Whatever was bought by the product's prices."""
        return await self.of_prices(await self._ids([_PRICES], {"id": product_id}), cause)

    async def of_project(self, public_id: str, cause: Cause) -> list[Revision]:
        """Whatever named the project before it existed, and the customers of whom that was said."""
        await self._transactions.run(lambda connection: owners.outlast_unknowing(connection, public_id))
        parameters = {"project": public_id}
        await self._customers(misassigned.PROJECT_CUSTOMERS, parameters)
        return await self._bought(misassigned.PROJECT_SUBSCRIPTIONS, misassigned.PROJECT_PURCHASES, parameters, cause)

    async def customer(self, customer_id: str, cause: Cause) -> list[Revision]:
        """One customer that is held, and whatever it bought."""
        await self._settle(customer_id)
        return await self.of_customer(customer_id, None, cause)

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

    async def _customers(self, statements: Statements, parameters: dict[str, Any]) -> None:
        for one in await self._ids(statements, parameters):
            await self._settle(one)

    async def _settle(self, customer_id: str) -> None:
        async def work(connection: AsyncConnection) -> None:
            await objects.lock(connection, {customer_id})
            await customer.settle_again(connection, customer_id)

        await self._transactions.run(work)

    async def _bought(
        self, subscriptions: Statements, purchases: Statements, parameters: dict[str, Any], cause: Cause
    ) -> list[Revision]:
        revisions = []
        for one in await self._ids(subscriptions, parameters):
            revisions += await self.subscription(one, cause)
        for one in await self._ids(purchases, parameters):
            revisions += await self.purchase(one, cause)
        return revisions

    async def _ids(self, statements: Statements, parameters: dict[str, Any]) -> list[str]:
        async with self._engine.connect() as connection:
            return await misassigned.ids(connection, statements, parameters)

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[Written]]) -> list[Revision]:
        return (await self._transactions.run(work)).revisions


_PRICES: Final = text("SELECT id FROM prices WHERE product_id = :id ORDER BY id")

_CUSTOMER_OF_SUBSCRIPTION: Final = text("SELECT customer_id FROM subscriptions WHERE id = :id")

_LINKS_OF_PURCHASE: Final = text("SELECT customer_id, payment_intent FROM purchases WHERE id = :id")
