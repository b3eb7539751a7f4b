"""What a project earned, from what the stand-in's customers did to what is told of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.stripe.shapes import CURRENT_VERSION
from tests.support.town import Town, opened_town, owned
from writer.operations import figures
from writer.operations.figures import Figures, Money, Subscriptions
from writer.operations.operations import Operations


@pytest.fixture(params=["2022-11-15", CURRENT_VERSION])
async def town(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Town]:
    """A town at the middle of a month, whose events come in an old or in today's shape; beside `shop` sells `maps`."""
    async with opened_town(database_url, webhook_version=request.param) as town:
        await town.ingest.query(
            "INSERT INTO projects (public_id, name, epoch, home_oid) VALUES ('maps', 'Maps', 1, 'projects'::regclass)"
        )
        town.wait_until(next_month(town, day=15))
        yield town


def next_month(town: Town, day: int = 1) -> int:
    """Unix seconds of a day of the month after this one."""
    today = datetime.fromtimestamp(town.now, UTC)
    year, month = divmod(today.year * 12 + today.month, 12)
    return int(datetime(year, month + 1, day, tzinfo=UTC).timestamp())


def month(town: Town) -> str:
    """The month that it is at Stripe."""
    return f"{datetime.fromtimestamp(town.now, UTC):%Y-%m}"


async def told(town: Town, project: str = "shop") -> Figures:
    """The figures once all is settled."""
    await town.settled()
    ingest = town.ingest
    operations = Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, ingest.relay.notify)
    (found,) = await operations.figures(figures.period(None, None, ingest.clock.now()), project)
    everybody = await operations.figures(figures.period(None, None, ingest.clock.now()))
    assert found in everybody
    return found


async def intent_of(town: Town, subscription: Any) -> str:
    """The payment that paid a subscription's latest invoice."""
    params = {"invoice": (await town.stripes(subscription)).latest_invoice}
    return str((await town.client.invoice_payments.list_async(params)).data[0].payment.payment_intent)


async def sold(town: Town, project: str, amount: int, interval: str | None = "month", **more: Any) -> Any:
    """A price of a project."""
    metadata = {"project_id": project, "feature_codes": "pro"}
    return await town.shop.price(amount, interval, metadata=metadata, **more)


async def test_money_by_month_and_currency(town: Town) -> None:
    """What renews and what is bought once stand apart; refunds and lost disputes count in their own month."""
    began = month(town)
    monthly, once = await sold(town, "shop", 900), await sold(town, "shop", 500, None)
    yen = await sold(town, "shop", 3000, None, currency="jpy")
    subscription = await town.shop.subscribed(monthly, once, metadata=owned(), subscription_data={"metadata": owned()})
    manga = await town.shop.bought(yen, mode="payment", metadata=owned())
    first_payment = await intent_of(town, subscription)
    found = await told(town)
    assert found.subscriptions == Subscriptions(active=1)
    assert found.money == (Money(began, "jpy", 0, 3000, 0, 0), Money(began, "usd", 900, 500, 0, 0))

    town.wait_until(next_month(town, day=20))
    renewed = month(town)
    refunds = town.client.refunds
    await refunds.create_async({"payment_intent": first_payment, "amount": 700})
    failing = await refunds.create_async({"payment_intent": manga.payment_intent, "amount": 1000})
    await refunds.create_async({"payment_intent": manga.payment_intent, "amount": 500})
    await town.shop.control(f"refunds/{failing.id}", status="failed")
    lost = await town.shop.control("disputes", payment_intent=await intent_of(town, subscription), amount=400)
    await town.shop.control("disputes", payment_intent=manga.payment_intent, amount=2500)
    await town.shop.control(f"disputes/{lost['id']}", status="lost")
    found = await told(town)
    assert found.money[2:] == (Money(renewed, "jpy", 0, 0, 500, 0), Money(renewed, "usd", 900, 0, 700, 400))
    assert [one.net for one in found.money[2:]] == [-500, -200]


async def test_one_invoice_of_two_projects(town: Town) -> None:
    """A payment that two projects share is divided by its lines after discounts, and so is its refund, to the cent."""
    coupon = await town.client.coupons.create_async({"percent_off": 10, "duration": "forever"})
    prices = [await sold(town, "shop", 1000), await sold(town, "maps", 333)]
    customer = await town.customer()
    subscription = await town.subscription(
        *prices, customer=customer, metadata={"user_id": "ada"}, discounts=[{"coupon": coupon.id}]
    )
    await town.client.refunds.create_async({"payment_intent": await intent_of(town, subscription), "amount": 101})
    shop, maps = await told(town), await told(town, "maps")
    assert (shop.subscriptions, maps.subscriptions) == (Subscriptions(active=1), Subscriptions(active=1))
    assert shop.money == (Money(month(town), "usd", 900, 0, 76, 0),)
    assert maps.money == (Money(month(town), "usd", 300, 0, 25, 0),)


async def test_subscriptions_in_every_state(town: Town) -> None:
    """A trial earns nothing, a failed renewal earns nothing, and what was cancelled is counted as that."""
    price = await sold(town, "shop", 900)
    began = month(town)
    await town.subscribed(price, user="tess", trial_period_days=60)
    late = await town.subscribed(price, user="liam")
    ended = await town.subscribed(price, user="carl")
    ending = await town.subscribed(price, user="erin")
    await town.client.subscriptions.cancel_async(ended.id)
    await town.charges(late.customer, "fail")
    assert (await told(town)).subscriptions == Subscriptions(active=2, trialing=1, canceled=1)
    town.wait_until(next_month(town, day=20))
    await town.change(ending, cancel_at_period_end=True)
    found = await told(town)
    assert found.subscriptions == Subscriptions(active=1, trialing=1, past_due=1, canceled=1, ending=1)
    assert found.money == (Money(began, "usd", 2700, 0, 0, 0), Money(month(town), "usd", 900, 0, 0, 0))


async def test_many_lines_and_what_was_not_read(town: Town) -> None:
    """Lines beyond the ten that an object shows count too; an invoice without any lines is its subscription's."""
    once = [await sold(town, "maps" if at == 12 else "shop", 100 + at, None) for at in range(13)]
    await town.shop.subscribed(
        await sold(town, "shop", 900),
        *once,
        metadata={"user_id": "ada"},
        subscription_data={"metadata": {"user_id": "ada"}},
    )
    assert (await told(town)).money == (Money(month(town), "usd", 900, 1266, 0, 0),)
    assert (await told(town, "maps")).money == (Money(month(town), "usd", 0, 112, 0, 0),)
    await town.ingest.query("UPDATE invoices SET lines = NULL")
    assert (await told(town)).money == (Money(month(town), "usd", 2278, 0, 0, 0),)
