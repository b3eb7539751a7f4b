"""Products and prices as Stripe gives them, and applied as the event path does."""

from typing import Any

from tests.support.operating import Operating
from writer.apply.mirror import Mirrored
from writer.catalogue.mirror import StripeMirror
from writer.outbox import Cause

CAUSE = Cause("evt_1")


def product(product_id: str = "prod_1", **changes: Any) -> dict[str, Any]:
    """A product as Stripe gives it."""
    whole = {"id": product_id, "object": "product", "name": "Pro", "active": True, "livemode": False}
    return {**whole, "description": None, "metadata": {}, **changes}


def price(price_id: str = "price_1", **changes: Any) -> dict[str, Any]:
    """A price as Stripe gives it."""
    whole = {"id": price_id, "object": "price", "product": "prod_1", "active": True, "livemode": False}
    more = {"currency": "eur", "unit_amount": 900, "type": "recurring", "nickname": None, "lookup_key": None}
    return {**whole, **more, "recurring": {"interval": "month", "interval_count": 1}, "metadata": {}, **changes}


async def mirror(side: Operating, thing: dict[str, Any]) -> Mirrored:
    """Apply a product or price as the event path does: one transaction."""
    made = StripeMirror(side.clock)
    apply = made.apply_product if thing["object"] == "product" else made.apply_price
    return await side.transactions.run(lambda connection: apply(connection, thing, CAUSE))
