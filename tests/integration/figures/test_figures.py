"""What a project earned, from what the stand-in's customers did to what is told of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner

from common import http
from common.clock import SystemClock
from common.settings import Secret
from sandbox.stripe.shapes import CURRENT_VERSION
from tests.support.town import Town, opened_town, owned
from writer.auth import Authenticator
from writer.cli import main
from writer.figures import FigureRoutes
from writer.gateway.stripe_lists import Listing, StripeLists
from writer.operations import figures
from writer.operations.audit import Actor
from writer.operations.figures import Figures, Money, Subscriptions
from writer.operations.operations import Operations
from writer.outbox import Cause
from writer.reconcile.walk import Standing, Walk

OLD_VERSION = "2022-11-15"


@pytest.fixture
async def town(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Town]:
    """A town at the middle of a month; beside `shop` sells `maps`."""
    version = getattr(request, "param", CURRENT_VERSION)
    async with opened_town(database_url, webhook_version=version) as town:
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


async def reconciled(town: Town) -> None:
    """Compare all invoices with Stripe, and apply what differs."""
    transport = town.gateway._transport
    walk = Walk(town.ingest.engine, StripeLists(transport))
    page = await walk.page(Listing.INVOICES)
    for one in page.objects:
        assert one.standing is Standing.DIFFERENT
        await town.ingest.applier.apply_object(one.kind, one.object, one.as_of, Cause("reconcile:test"))


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


@pytest.mark.parametrize("town", [OLD_VERSION, CURRENT_VERSION], indirect=True)
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


@pytest.mark.parametrize("town", [OLD_VERSION, CURRENT_VERSION], indirect=True)
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
    once = [await sold(town, "maps" if at == 10 else "shop", 100 + at, None) for at in range(11)]
    await town.shop.subscribed(
        await sold(town, "shop", 900),
        *once,
        metadata={"user_id": "ada"},
        subscription_data={"metadata": {"user_id": "ada"}},
    )
    assert (await told(town)).money == (Money(month(town), "usd", 900, 1045, 0, 0),)
    assert (await told(town, "maps")).money == (Money(month(town), "usd", 0, 110, 0, 0),)
    await town.ingest.query("UPDATE invoices SET lines = NULL")
    assert (await told(town)).money == (Money(month(town), "usd", 2055, 0, 0, 0),)
    await town.ingest.query("DELETE FROM invoice_payments")
    await reconciled(town)
    assert (await told(town)).money == (Money(month(town), "usd", 900, 1045, 0, 0),)
    assert len(await town.ingest.query("SELECT invoice_id FROM invoice_payments")) == 1


async def test_who_may_ask_and_how(town: Town, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's key opens its own figures, the admin key everybody's; the command tells the same to people."""
    await town.shop.bought(await sold(town, "shop", 1234, None, currency="jpy"), mode="payment", metadata=owned())
    await told(town)
    ingest, query = town.ingest, f"?to={month(town)}"
    operations = Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, ingest.relay.notify)
    key = (await operations.create_key("shop", "web", None, Actor("test"))).secret.reveal()
    auth = Authenticator(ingest.engine, (Secret("the-admin-key"),), SystemClock())
    app = web.Application(middlewares=[http.middleware])
    app.add_routes(FigureRoutes(auth, operations, ingest.clock).routes())
    async with TestClient(TestServer(app)) as client:

        async def ask(path: str, shown: str) -> tuple[int, Any]:
            url = f"/api/v1/metrics/project/{path}"
            async with client.get(url, headers={"Authorization": f"Bearer {shown}"}) as answer:
                return answer.status, await answer.json()

        status, answer = await ask(f"shop{query}", key)
        assert (status, answer["revenue"]) == (
            200,
            [{"month": month(town), "currency": "jpy", "decimals": 0, "recurring": 0, "one_time": 1234, "refunds": 0,
              "disputes": 0, "net": 1234}],
        )  # fmt: skip
        assert await ask(f"shop{query}", "the-admin-key") == (200, answer)
        refused = [await ask(*one) for one in (
            ("maps", key), ("none", "the-admin-key"), ("shop?from=2026-13", key), ("shop?from=2027-01&to=2026-12", key)
        )]  # fmt: skip
        assert [(at, body["code"]) for at, body in refused] == [
            (403, "wrong_project"), (404, "unknown_project"), (400, "invalid_month"), (400, "invalid_range")
        ]  # fmt: skip
    monkeypatch.setenv("DATABASE_URL", database_url)
    options = ("figures", "shop", "--from", month(town), "--to", month(town))
    as_json, as_text = [await asyncio.to_thread(billing, *options, *more) for more in (("--json",), ())]
    assert json.loads(as_json)["revenue"] == answer["revenue"]
    assert "1,234 JPY" in as_text


def billing(*arguments: str) -> str:
    """What the command prints; in a thread, as it runs a loop of its own."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout
