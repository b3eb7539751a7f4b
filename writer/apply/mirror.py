"""What applying needs of the catalogue's mirror of Stripe's products and prices."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from writer.outbox import Cause


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a mirrored object changed. `revised`: a catalogue version was added in the transaction.

    `moved_prices` changed their project. What was bought by them is found by comparing states, not by this: a writer
    that dies before it used it would have lost it.
    """

    revised: bool
    moved_prices: frozenset[str] = frozenset()


class CatalogueMirror(Protocol):
    """Writes products and prices inside the caller's transaction, which holds their locks and knows them newer.

    Gone objects come as `{"id", "object", "deleted": true}`: their rows stay, inactive.
    """

    async def apply_product(self, connection: AsyncConnection, product: Mapping[str, Any], cause: Cause) -> Mirrored:
        """Write a product; features that it does not carry stay as they were read before."""
        ...

    async def apply_price(self, connection: AsyncConnection, price: Mapping[str, Any], cause: Cause) -> Mirrored:
        """Write a price; its `product` is an id, or expanded and then already written."""
        ...
