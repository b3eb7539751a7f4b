"""The whole way in: the stand-in's signed webhooks, the SDK's fetches, and the documents that come of them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.stripe_standin import DAY
from tests.support.town import Town, opened_town, owned

ADA = owned("ada")


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    """A running town."""
    async with opened_town(database_url) as town:
        yield town


async def test_a_subscriptions_life(town: Town) -> None:
    """Bought, renewed, cancelled at the period's end: each is in the document, with the end that Stripe means."""
    price = await town.price("export", "month")
    bought = await town.shop.subscribed(price, subscription_data={"metadata": ADA})
    assert await town.features() == ["export"]
    (first,) = (await town.ingest.held()).values()
    town.shop.standin.advance(31 * DAY)
    town.ingest.clock.at += 31 * DAY
    assert await town.features() == ["export"]
    (second,) = (await town.ingest.held()).values()
    assert (first or "") < (second or "")
    await town.shop.client.v1.subscriptions.update_async(bought.id, {"cancel_at_period_end": True})
    await town.features()
    (third,) = (await town.ingest.held()).values()
    assert (third or "") < (second or "")


async def test_a_change_of_plan(town: Town) -> None:
    """An item that gets another price grants that one's features from then on."""
    cheap, dear = await town.price("export", "month"), await town.price("archive", "month")
    bought = await town.shop.subscribed(cheap, subscription_data={"metadata": ADA})
    assert await town.features() == ["export"]
    items: Any = [{"id": bought["items"].data[0].id, "price": dear.id}]
    await town.shop.client.v1.subscriptions.update_async(bought.id, {"items": items})
    assert await town.features() == ["archive"]


async def test_a_purchase_and_its_refund(town: Town) -> None:
    """A one-time purchase grants for life, until it is given back whole."""
    price = await town.price("archive", None)
    session = await town.shop.bought(price, mode="payment", metadata=ADA)
    assert await town.features() == ["archive"]
    assert list((await town.ingest.held()).values()) == [None]
    await town.shop.client.v1.refunds.create_async({"payment_intent": session.payment_intent})
    assert await town.features() == []


async def test_only_the_session_says_whose_it_is(town: Town) -> None:
    """`client_reference_id` alone, as a payment link carries it, makes the subscription its user's."""
    await town.shop.subscribed(await town.price("export", "month"), client_reference_id="ada")
    assert await town.features() == ["export"]
