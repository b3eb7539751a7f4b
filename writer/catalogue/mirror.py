"""Stripe's products and prices: mirrored, placed into projects, and through their metadata part of catalogues."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any, Final, Protocol

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.clock import Clock
from writer.apply import objects
from writer.apply.mirror import Mirrored
from writer.catalogue import placement, product_features, store
from writer.db.transaction import Transactions
from writer.domain.stripe import fields
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.watermark import NOTHING_HELD, Verdict, Watermark
from writer.gateway.stripe_gateway import Fetched
from writer.operations import audit
from writer.operations.audit import Actor
from writer.outbox import Cause

_ROUNDS: Final = 4
_NOTHING: Final = Mirrored(revised=False)

Retrieve = Callable[[str], Awaitable[Fetched]]
Write = Callable[[AsyncConnection, Mapping[str, Any], Cause], Awaitable[Mirrored]]


class CatalogueSource(Protocol):
    """Everything that Stripe sells, as plain objects."""

    def products(self) -> AsyncIterator[Fetched]:
        """Every product with its features, also archived ones."""
        ...

    def prices(self) -> AsyncIterator[Fetched]:
        """Every price, also archived ones; its product is an id."""
        ...

    async def retrieve_product(self, id: str) -> Fetched:  # noqa: A002 - Stripe's own word
        """A product with its features, as it is now."""
        ...

    async def retrieve_price(self, id: str) -> Fetched:  # noqa: A002
        """A price as it is now."""
        ...


class StripeMirror:
    """Writes products and prices inside the caller's transaction, which holds their locks and knows them newer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def apply_product(self, connection: AsyncConnection, product: Mapping[str, Any], cause: Cause) -> Mirrored:
        """Write a product; `moved_prices` are those of its prices whose project changed with it.

        Features that it does not carry stay as they were read before.
        """
        await placement.begin(connection)
        if product.get("deleted"):
            await connection.execute(_PRODUCT_GONE, {"id": product["id"]})
        else:
            row = product_row(product) | {"features": product_features.attached(product)}
            await connection.execute(_PRODUCT, row)
        prices = (await connection.execute(_PRICES_OF, {"id": product["id"]})).scalars().all()
        return await self._settle(connection, prices, [product["id"]], cause)

    async def apply_price(self, connection: AsyncConnection, price: Mapping[str, Any], cause: Cause) -> Mirrored:
        """Write a price; its `product` is an id, or expanded and then already written."""
        await placement.begin(connection)
        if price.get("deleted"):
            await connection.execute(_PRICE_GONE, {"id": price["id"]})
        else:
            await connection.execute(_PRICE, price_row(price))
        return await self._settle(connection, [price["id"]], [], cause)

    async def _settle(
        self, connection: AsyncConnection, prices: Collection[str], products: Collection[str], cause: Cause
    ) -> Mirrored:
        placed = await placement.place(connection, prices, products)
        touched = placed.projects | await placement.project_of(connection, prices)
        commits = await store.commit(connection, touched, Actor(f"stripe:{cause.name}"), self._clock.now())
        return Mirrored(revised=bool(commits), moved_prices=placed.moved_prices)


async def sync(transactions: Transactions, source: CatalogueSource, mirror: StripeMirror, actor: Actor) -> Mirrored:
    """Mirror everything that Stripe sells; one short transaction an object. What moved and whether anything was new."""
    cause = Cause(f"operator:{actor.name}")
    revised, moved = False, frozenset[str]()
    kinds = (
        (source.products(), source.retrieve_product, mirror.apply_product),
        (source.prices(), source.retrieve_price, mirror.apply_price),
    )
    for listed, retrieve, write in kinds:
        async for fetched in listed:
            done = await _bring(transactions, fetched, retrieve, write, cause)
            revised, moved = revised or done.revised, moved | done.moved_prices
    act = audit.Act("catalog.sync", None, "stripe", after={"revised": revised, "moved_prices": sorted(moved)})
    await transactions.run(lambda c: audit.record(c, actor, act))
    return Mirrored(revised=revised, moved_prices=moved)


async def _bring(
    transactions: Transactions, fetched: Fetched, retrieve: Retrieve, write: Write, cause: Cause
) -> Mirrored:
    """Mirror one object, unless an event or another fetch brought something newer meanwhile.

    Where Stripe's clocks leave that open, it is fetched: begun after the held state was read, that is newer.
    """
    base: Watermark | None = None
    for _ in range(_ROUNDS):

        async def work(
            connection: AsyncConnection, fetched: Fetched = fetched, base: Watermark | None = base
        ) -> tuple[Mirrored | None, Watermark]:
            return await _write_newer(connection, fetched, base, write, cause)

        done, base = await transactions.run(work)
        if done is not None or fetched.object is None:
            return done or _NOTHING
        fetched = await retrieve(fetched.object["id"])
    return _NOTHING  # it changes all the time: its events bring it


async def _write_newer(
    connection: AsyncConnection, fetched: Fetched, base: Watermark | None, write: Write, cause: Cause
) -> tuple[Mirrored | None, Watermark]:
    """What writing came to, None where the order is open; and what was held before."""
    if fetched.object is None:
        return _NOTHING, NOTHING_HELD
    object_id = fetched.object["id"]
    held = (await objects.lock(connection, {object_id}))[object_id]
    verdict = Verdict.NEWER if held == base else held.fetch(fetched.as_of)
    if verdict is Verdict.UNCLEAR:
        return None, held
    if verdict is Verdict.OLDER:
        return _NOTHING, held
    await objects.advance(connection, object_id, held.after_fetch(fetched.as_of))
    return await write(connection, fetched.object, cause), held


def product_row(product: Mapping[str, Any]) -> dict[str, Any]:
    """A product as its row holds it, features apart, metadata as JSON text; ShapeError names what is wrong."""
    return {
        "id": fields.text(product, "id"),
        "name": fields.optional_text(product, "name") or fields.text(product, "id"),
        "description": fields.optional_text(product, "description"),
        "active": _is_active(product),
        "livemode": fields.flag(product, "livemode"),
        "metadata": orjson.dumps(fields.metadata(product)).decode(),
    }


def price_row(price: Mapping[str, Any]) -> dict[str, Any]:
    """A price as its row holds it, metadata as JSON text; ShapeError names what is wrong."""
    product = fields.reference(price, "product")
    if product is None:
        raise ShapeError("price.product must be an id")
    recurring = fields.child(price, "recurring")
    return {
        "id": fields.text(price, "id"),
        "product_id": product,
        "type": fields.optional_text(price, "type") or ("recurring" if recurring else "one_time"),
        "active": _is_active(price),
        "livemode": fields.flag(price, "livemode"),
        "currency": fields.text(price, "currency"),
        "unit_amount": None if price.get("unit_amount") is None else fields.whole(price, "unit_amount"),
        "interval": fields.optional_text(recurring, "interval"),
        "interval_count": None
        if recurring.get("interval_count") is None
        else fields.whole(recurring, "interval_count"),
        "nickname": fields.optional_text(price, "nickname"),
        "lookup_key": fields.optional_text(price, "lookup_key"),
        "metadata": orjson.dumps(fields.metadata(price)).decode(),
    }


def _is_active(source: Mapping[str, Any]) -> bool:
    return source.get("active") is None or fields.flag(source, "active")


_PRODUCT: Final = text("""
INSERT INTO products (id, name, description, active, livemode, features, metadata)
VALUES (:id, :name, :description, :active, :livemode, coalesce(CAST(:features AS text[]), '{}'),
    CAST(CAST(:metadata AS text) AS jsonb))
ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, active = excluded.active,
    livemode = excluded.livemode, features = coalesce(CAST(:features AS text[]), products.features),
    metadata = excluded.metadata
""")

_PRODUCT_GONE: Final = text("UPDATE products SET active = false WHERE id = :id")

_PRICES_OF: Final = text("SELECT id FROM prices WHERE product_id = :id ORDER BY id")

_PRICE: Final = text("""
INSERT INTO prices (id, product_id, type, active, livemode, currency, unit_amount, interval, interval_count, nickname,
    lookup_key, metadata)
VALUES (:id, :product_id, :type, :active, :livemode, :currency, :unit_amount, :interval, :interval_count, :nickname,
    :lookup_key, CAST(CAST(:metadata AS text) AS jsonb))
ON CONFLICT (id) DO UPDATE SET product_id = excluded.product_id, type = excluded.type, active = excluded.active,
    livemode = excluded.livemode, currency = excluded.currency, unit_amount = excluded.unit_amount,
    interval = excluded.interval, interval_count = excluded.interval_count, nickname = excluded.nickname,
    lookup_key = excluded.lookup_key, metadata = excluded.metadata
""")

_PRICE_GONE: Final = text("UPDATE prices SET active = false WHERE id = :id")
