"""Whether a price may be sold by a project: the mirror is asked first, Stripe where the mirror does not say yes."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.problems import Problem
from writer.auth import KeyHolder
from writer.db.transaction import Transactions
from writer.gateway.stripe_gateway import Fetched


class PriceSource(Protocol):
    """What is asked of Stripe."""

    async def retrieve_price(self, id: str) -> Fetched:  # noqa: A002 - Stripe's word
        """A price with its product expanded."""
        ...


@dataclass(frozen=True, slots=True)
class SoldPrice:
    """A price that may be sold."""

    id: str
    product_id: str
    recurring: bool


class PriceCheck:
    """Finds prices and refuses those that are not this project's to sell."""

    def __init__(self, transactions: Transactions, source: PriceSource, *, livemode: bool) -> None:
        self._transactions = transactions
        self._source = source
        self._livemode = livemode

    async def sold(self, holder: KeyHolder, price_id: str) -> SoldPrice:
        """The price, active and of the holder's project.

        The mirror follows Stripe by events and may be a moment behind, so only its yes is believed.
        Problems: 404 `unknown_price`, 409 `price_of_another_project`, 409 `price_inactive`.
        """
        mirrored = await self._transactions.run(lambda connection: self._mirrored(connection, holder, price_id))
        return mirrored or await self.at_stripe(holder, price_id)

    async def at_stripe(self, holder: KeyHolder, price_id: str) -> SoldPrice:
        """The same, whatever the mirror says of it."""
        price = (await self._source.retrieve_price(price_id)).object
        if price is None or price.get("deleted") or price["livemode"] is not self._livemode:
            raise _problem(HTTPStatus.NOT_FOUND, "unknown_price", f"Stripe knows no price {price_id} in this mode")
        product = price["product"]
        await self._check_owner(holder, price, product)
        if not price["active"] or product.get("deleted") or not product["active"]:
            detail = f"{price_id}, or its product, is archived at Stripe: sell an active price of the product"
            raise _problem(HTTPStatus.CONFLICT, "price_inactive", detail)
        return SoldPrice(price_id, product["id"], price["type"] == "recurring")

    async def _mirrored(self, connection: AsyncConnection, holder: KeyHolder, price_id: str) -> SoldPrice | None:
        parameters = {"id": price_id, "project_id": holder.project_id, "livemode": self._livemode}
        row = (await connection.execute(_MIRRORED, parameters)).one_or_none()
        return None if row is None else SoldPrice(price_id, row.product_id, row.type == "recurring")

    async def _check_owner(self, holder: KeyHolder, price: dict[str, Any], product: dict[str, Any]) -> None:
        named = price["metadata"].get("project_id") or product.get("metadata", {}).get("project_id")
        parameters = {"targets": [price["id"], product["id"]], "id": price["id"]}

        async def in_catalogues(connection: AsyncConnection) -> set[str]:
            return set((await connection.execute(_OWNERS, parameters)).scalars())

        owners = {named} if named else await self._transactions.run(in_catalogues)
        if not owners:
            detail = (
                f"{price['id']} belongs to no project: name it, or its product, in the catalogue, or set project_id "
                "in its metadata at Stripe"
            )
            raise _problem(HTTPStatus.NOT_FOUND, "unknown_price", detail)
        if holder.project not in owners:
            detail = f"{price['id']} is sold by another project than {holder.project}"
            raise _problem(HTTPStatus.CONFLICT, "price_of_another_project", detail)


def _problem(status: HTTPStatus, code: str, detail: str) -> Problem:
    return Problem(status, code, detail)


_MIRRORED: Final = text("""
SELECT p.product_id, p.type FROM prices p LEFT JOIN products o ON o.id = p.product_id
WHERE p.id = :id AND p.project_id = :project_id AND p.livemode = :livemode AND p.active AND o.active IS NOT FALSE
""")

_OWNERS: Final = text("""
SELECT j.public_id FROM projects j WHERE j.id IN (
    SELECT project_id FROM prices WHERE id = :id
    UNION SELECT project_id FROM plans WHERE target = ANY(:targets) AND origin = 'catalog')
""")
