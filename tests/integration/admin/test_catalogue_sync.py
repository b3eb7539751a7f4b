"""`catalog sync`: all products and prices are listed into the mirror, and nothing newer is written over."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import SECOND, Instant
from tests.support.operating import ACTOR, Operating
from tests.support.stripe_catalogue import mirror, product
from writer.apply import objects
from writer.domain.stripe.watermark import Watermark
from writer.gateway.stripe_gateway import Fetched


class _Listing:
    """Stripe as it was listed at second 1,000, and as it is when one object is asked for."""

    def __init__(self, listed: dict[str, Any], now: dict[str, Any]) -> None:
        self.retrieved: list[str] = []
        self._listed = listed
        self._now = now

    async def products(self) -> AsyncIterator[Fetched]:
        """The one product."""
        yield Fetched(self._listed, Instant(1_000 * SECOND))

    async def prices(self) -> AsyncIterator[Fetched]:
        """None."""
        nothing: Fetched
        for nothing in ():
            yield nothing

    async def retrieve_product(self, product_id: str) -> Fetched:
        """The product now."""
        self.retrieved.append(product_id)
        return Fetched(self._now, Instant(1_001 * SECOND))

    async def retrieve_price(self, price_id: str) -> Fetched:
        """Never asked."""
        raise AssertionError(price_id)


@pytest.mark.parametrize(
    ("told_at", "name", "asked"), [(1_100, "held", []), (1_001, "now", ["prod_1"]), (900, "listed", [])]
)
async def test_a_sync_never_writes_over_something_newer(
    side: Operating, told_at: int, name: str, asked: list[str]
) -> None:
    """What an event told after the listing stays; where the order is open the product is fetched; else it is listed."""
    await mirror(side, product(name="held"))

    async def tell(connection: AsyncConnection) -> None:
        await objects.lock(connection, {"prod_1"})
        await objects.advance(connection, "prod_1", Watermark(Instant(told_at * SECOND)))

    await side.transactions.run(tell)
    listing = _Listing(product(name="listed"), product(name="now"))
    await side.operations.sync_catalogue(listing, ACTOR)
    assert await side.rows("SELECT name FROM products") == [(name,)]
    assert listing.retrieved == asked
