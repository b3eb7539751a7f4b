"""Prices and products are edited at Stripe under running subscriptions."""

from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, Town, period_end


async def test_an_archived_price(town: Town) -> None:
    """Who has it keeps it, also over a renewal; it is only not sold any more."""
    price = await town.price("export")
    bought = await town.subscribed(price)
    await town.client.prices.update_async(price.id, {"active": False})
    town.wait_until(period_end(bought) + 1)
    assert await town.ends() == {"export": period_end(await town.stripes(bought)) + GRACE}
    assert (await town.answer("import")).unlocked_by == ()
    assert (await town.answer("export", user="bob")).unlocked_by == ()


async def test_a_product_that_is_archived_or_renamed(town: Town) -> None:
    """Its subscribers keep what they have."""
    price = await town.price("export")
    bought = await town.subscribed(price)
    await town.client.products.update_async(price.product, {"active": False, "name": "Old"})
    assert await town.ends() == {"export": period_end(bought) + GRACE}


async def test_a_price_that_leaves_the_project(town: Town) -> None:
    """Without `project_id`, its subscription without one is nobody's; named again, it is its user's again."""
    price = await town.price("export")
    bought = await town.subscribed(price)
    await town.change(bought, metadata={"project_id": ""})
    assert await town.features() == ["export"]
    town.wait(DAY)
    await town.client.prices.update_async(price.id, {"metadata": {"project_id": ""}})
    assert await town.features() == []
    town.wait(DAY)
    await town.client.prices.update_async(price.id, {"metadata": {"project_id": "shop"}})
    assert await town.ends() == {"export": period_end(bought) + GRACE}


async def test_features_that_are_edited(town: Town) -> None:
    """What a price newly grants holds for whoever buys from then on, and for the others once they are computed."""
    price = await town.price("export")
    await town.subscribed(price)
    await town.settled()
    await town.client.prices.update_async(price.id, {"metadata": {"feature_codes": "export,import"}})
    await town.subscribed(price, user="bob")
    assert await town.features("bob") == ["export", "import"]
    assert await town.ingest.query("SELECT 1 FROM recompute_jobs WHERE finished_at IS NULL")
