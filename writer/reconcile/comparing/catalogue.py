"""Products and prices."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from writer.catalogue import product_features
from writer.catalogue.mirror import price_row, product_row
from writer.domain.stripe import fields
from writer.domain.stripe.fields import Object
from writer.domain.stripe.kinds import ObjectKind
from writer.reconcile.comparing.facts import Comparison, Facts, Sides


def _product(source: Object) -> Facts:
    attached = product_features.attached(source)
    read = {} if attached is None else {"features": attached}
    return {**product_row(source), **read, "metadata": fields.metadata(source)}


def _price(source: Object) -> Facts:
    return {**price_row(source), "metadata": fields.metadata(source)}


async def _products(connection: AsyncConnection, parsed: Sequence[Facts]) -> Mapping[str, Sides]:
    return await _sides(connection, parsed, _HELD_PRODUCTS)


async def _prices(connection: AsyncConnection, parsed: Sequence[Facts]) -> Mapping[str, Sides]:
    return await _sides(connection, parsed, _HELD_PRICES)


async def _sides(connection: AsyncConnection, parsed: Sequence[Facts], statement: TextClause) -> Mapping[str, Sides]:
    rows = await connection.execute(statement, {"ids": [told["id"] for told in parsed]})
    held = {row["id"]: row for row in rows.mappings()}
    return {told["id"]: Sides(told, _same_fields(told, held.get(told["id"]))) for told in parsed}


def _same_fields(told: Facts, held: RowMapping | None) -> Facts | None:
    return None if held is None else {name: held[name] for name in told}


_HELD_PRODUCTS: Final = text("SELECT * FROM products WHERE id = ANY(CAST(:ids AS text[]))")

_HELD_PRICES: Final = text("SELECT * FROM prices WHERE id = ANY(CAST(:ids AS text[]))")

PRODUCTS: Final = Comparison(ObjectKind.PRODUCT, _product, _products)
PRICES: Final = Comparison(ObjectKind.PRICE, _price, _prices)
