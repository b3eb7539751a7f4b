"""API versions: the same life gives the same documents, in whichever shape its events are told."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from sandbox.stripe.shapes import CURRENT_VERSION
from tests.support.stripe_standin import DAY
from tests.support.town import Town, opened_town, owned, period_end

VERSIONS = ("2022-11-15", "2024-06-20", "2025-03-31.basil", CURRENT_VERSION)
THIN, MIXED = "thin", "mixed"


@pytest.fixture(params=[*VERSIONS, THIN, MIXED])
async def town(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Town]:
    """A town whose endpoint gets events of one version, thin ones, or each in every shape, thin beside whole."""
    shape = request.param
    async with AsyncExitStack() as stack:
        named = {"webhook_version": shape} if shape in VERSIONS else {}
        town = await stack.enter_async_context(opened_town(database_url, **named))
        (endpoint,) = town.shop.standin.store.all("webhook_endpoint")
        if shape == THIN:
            await town.shop.control(f"endpoints/{endpoint['id']}", thin=True)
        if shape == MIXED:
            # Of the whole shapes the first to arrive counts, for they share an id; the thin event has one of its own.
            also = [{"api_version": version} for version in VERSIONS[:-1]] + [{"thin": True}]
            for shown in also:
                await town.shop.control("endpoints", url=endpoint["url"], secret="whsec_test", **shown)
        yield town
        (told,) = await town.ingest.query(_TOLD)
        assert (told.thin > 0, told.whole > 0) == (shape in {THIN, MIXED}, shape != THIN)


_TOLD = r"""SELECT count(*) FILTER (WHERE id LIKE 'evt\_test\_%') AS thin,
    count(*) FILTER (WHERE id NOT LIKE 'evt\_test\_%') AS whole FROM webhook_events WHERE status <> 'ignored'"""


async def documents(town: Town, *users: str) -> dict[str, list[tuple[str, int | None]]]:
    """What users hold, and until when."""
    return {user: sorted((await town.ends(user)).items()) for user in users}


async def test_a_subscription_in_every_state(town: Town) -> None:
    """Trial, renewal, change of plan, arrears, recovery and cancellation are read from every shape alike."""
    export, archive = await town.price("export"), await town.price("archive", amount=4000)
    bought = await town.subscribed(export, trial_period_days=7)
    assert await town.ends() == {"export": bought.trial_end + 3_600}
    town.wait(8 * DAY)
    running = await town.stripes(bought)
    assert await town.ends() == {"export": period_end(running) + 72 * 3_600}
    await town.change(bought, items=[{"id": running["items"].data[0].id, "price": archive.id}])
    assert await town.ends() == {"archive": period_end(running) + 72 * 3_600}
    await town.charges(bought.customer, "fail")
    town.wait_until(period_end(running) + 1)
    late = await town.stripes(bought)
    invoice = await town.client.invoices.retrieve_async(late.latest_invoice)
    assert await town.ends() == {"archive": invoice.status_transitions.finalized_at + 30 * DAY}
    await town.charges(bought.customer, "succeed")
    town.wait(4 * DAY)
    assert await town.ends() == {"archive": period_end(late) + 72 * 3_600}
    await town.change(bought, cancel_at_period_end=True)
    assert await town.ends() == {"archive": period_end(late)}
    town.wait(3 * DAY)
    ended = await town.client.subscriptions.cancel_async(bought.id)
    assert await town.ends() == {"archive": ended.ended_at}


async def test_purchases_refunds_and_disputes(town: Town) -> None:
    """Sessions, refunds and disputes, some of them inside old charges, end alike."""
    sessions: list[Any] = []
    for name in ("kept", "refunded", "parted", "failed", "lost", "won"):
        price = await town.price(name, None)
        sessions.append(await town.shop.bought(price, mode="payment", metadata=owned()))
    kept, refunded, parted, failed, lost, won = (one.payment_intent for one in sessions)
    refunds = town.client.refunds
    await refunds.create_async({"payment_intent": refunded})
    await refunds.create_async({"payment_intent": parted, "amount": 999})
    back = await refunds.create_async({"payment_intent": failed})
    await town.shop.control(f"refunds/{back.id}", status="failed")
    for intent, status in ((lost, "lost"), (won, "won")):
        dispute = await town.shop.control("disputes", payment_intent=intent)
        await town.shop.control(f"disputes/{dispute['id']}", status=status)
    assert kept
    assert await town.features() == ["failed", "kept", "parted", "won"]


async def test_owners_and_customers(town: Town) -> None:
    """Whose something is, edited metadata, one-time lines in an invoice, and a customer that is deleted."""
    once, monthly = await town.price("archive", None), await town.price("export")
    bought = await town.shop.subscribed(once, monthly, client_reference_id="ada")
    assert await town.features("ada") == ["archive", "export"]
    await town.change(bought, metadata=owned("bob"))
    assert (await town.features("ada"), await town.features("bob")) == (["archive"], ["export"])
    town.wait(DAY)
    await town.client.customers.delete_async(bought.customer)
    held = await documents(town, "ada", "bob")
    assert held == {"ada": [("archive", None)], "bob": [("export", (await town.stripes(bought)).ended_at)]}
