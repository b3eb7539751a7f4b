"""Prices and products edited, archived and deleted at Stripe: what subscribers have of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest, opened
from tests.support.operating import AT_ONCE
from tests.support.stripe_objects import NOW
from writer.catalogue.recompute_jobs import RecomputeJobs
from writer.wakeup import Wakeup

OURS = {"project_id": "shop", "feature_codes": "export"}


@pytest.fixture
async def ingest(database_url: str) -> AsyncIterator[Ingest]:
    """A writer whose Stripe is a dictionary; ada subscribes to price_meta of prod_meta."""
    async with opened(database_url) as made:
        await told(made, "product.created", stripe.product("prod_meta", metadata=OURS))
        await told(made, "price.created", stripe.price("price_meta", "prod_meta"))
        await told(made, "customer.subscription.created", subscribed("sub_1", "price_meta", "prod_meta"))
        await work_off(made)
        yield made


def subscribed(object_id: str, price: str, product: str, **item: Any) -> dict[str, Any]:
    """Ada's subscription to one price, its item changed by `item`; a value of None takes a field away."""
    whole = stripe.subscription(object_id, prices=(price,))
    held = whole["items"]["data"][0]
    held |= {"price": stripe.price(price, product), **item}
    for name in [name for name, value in item.items() if value is None]:
        del held[name]
    return whole


async def told(ingest: Ingest, event_type: str, source: dict[str, Any], after: int = 0) -> None:
    """Stripe holds this now, and tells of it `after` seconds."""
    ingest.stripe.hold(source)
    await ingest.deliver(stripe.event(event_type, source, NOW + after))
    unwell = await ingest.query("SELECT type, last_error FROM webhook_events WHERE status = 'parked'")
    assert unwell == []


async def work_off(ingest: Ingest) -> None:
    """Compute whom the catalogue's new versions concern."""
    jobs = RecomputeJobs(
        ingest.transactions, ingest.recompute, instance="w", wakeup=Wakeup(), relay_wakeup=Wakeup(),
        clock=ingest.clock, registry=CollectorRegistry(), schedule=AT_ONCE,
    )  # fmt: skip
    while await jobs.step():
        pass


async def features(ingest: Ingest) -> list[str]:
    """What ada holds once everybody is computed."""
    await work_off(ingest)
    return sorted(name.split()[1] for name in await ingest.held())


async def test_a_products_new_features_reach_its_subscribers(ingest: Ingest) -> None:
    """Metadata of the product, then the price's own, which comes before it; taken away, it takes the features along."""
    assert await features(ingest) == ["export"]
    wider = {**OURS, "feature_codes": "export, share"}
    await told(ingest, "product.updated", stripe.product("prod_meta", metadata=wider), 60)
    assert await features(ingest) == ["export", "share"]
    own = stripe.price("price_meta", "prod_meta", metadata={"feature_codes": "seats=5/unit"})
    await told(ingest, "price.updated", own, 120)
    assert await features(ingest) == ["seats"]
    await told(ingest, "price.updated", stripe.price("price_meta", "prod_meta"), 180)
    await told(ingest, "product.updated", stripe.product("prod_meta", metadata={"project_id": "shop"}), 240)
    assert await features(ingest) == []


@pytest.mark.parametrize(
    ("event_type", "gone"),
    [
        ("price.updated", stripe.price("price_meta", "prod_meta", active=False)),
        ("price.deleted", {**stripe.price("price_meta", "prod_meta"), "deleted": True}),
        ("product.updated", stripe.product("prod_meta", active=False, metadata=OURS)),
        ("product.deleted", {**stripe.product("prod_meta", metadata=OURS), "deleted": True}),
    ],
)
async def test_what_is_sold_no_more_still_grants(ingest: Ingest, event_type: str, gone: dict[str, Any]) -> None:
    """Archived and deleted prices and products offer nothing, and take nothing from whoever has them."""
    await told(ingest, event_type, gone, 60)
    assert await features(ingest) == ["export"]
    rows = await ingest.query("SELECT body FROM outbox WHERE op = 'catalog' ORDER BY revision DESC LIMIT 1")
    assert "price_meta" not in rows[0].body["features"]["export"]["unlocked_by"]
    renewed = subscribed("sub_1", "price_meta", "prod_meta", current_period_end=NOW + 2 * stripe.MONTH)
    await told(ingest, "customer.subscription.updated", renewed, 120)
    assert await features(ingest) == ["export"]


async def test_tiered_and_metered_prices_are_mirrored_and_grant(ingest: Ingest) -> None:
    """Neither has an amount, and a metered item has no quantity: it is one."""
    tiered = stripe.price("price_tiers", "prod_meta", unit_amount=None, billing_scheme="tiered", tiers_mode="graduated")
    usage = {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": "mtr_1"}
    metered = stripe.price("price_usage", "prod_meta", unit_amount=None, unit_amount_decimal="0.05")
    metered["recurring"] = usage
    for price in (tiered, metered):
        await told(ingest, "price.created", price)
        await told(
            ingest,
            "customer.subscription.created",
            subscribed(f"sub_{price['id']}", price["id"], "prod_meta", quantity=None),
        )
    assert await features(ingest) == ["export"] * 3
    amounts = await ingest.query("SELECT unit_amount FROM prices WHERE id IN ('price_tiers', 'price_usage')")
    assert [row.unit_amount for row in amounts] == [None, None]


async def test_a_product_that_changes_its_project_takes_its_subscriptions_along(ingest: Ingest) -> None:
    """Who they are stays; whose they are follows the product, where the subscription does not say."""
    await ingest.query(
        "INSERT INTO projects (public_id, name, epoch, home_oid) VALUES ('blog', 'Blog', 1, 'projects'::regclass)"
    )
    free = {**subscribed("sub_2", "price_meta", "prod_meta"), "metadata": {"user_id": "bob"}}
    await told(ingest, "customer.subscription.created", free)
    moved = stripe.product("prod_meta", metadata={"project_id": "blog", "feature_codes": "write"})
    await told(ingest, "product.updated", moved, 60)
    await work_off(ingest)
    rows = await ingest.query(
        """SELECT p.public_id, d.body FROM documents d JOIN projects p ON p.id = d.project_id
           WHERE d.user_id = 'bob' AND NOT d.is_empty"""
    )
    assert [(row.public_id, [one["feature_code"] for one in row.body]) for row in rows] == [("blog", ["write"])]
    assert await ingest.held("ada") == {}
    reasons = await ingest.query("SELECT unassigned_reason IS NOT NULL AS it FROM subscriptions WHERE id = 'sub_1'")
    assert [row.it for row in reasons] == [True]
