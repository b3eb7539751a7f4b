"""Features that are attached to products in Stripe's dashboard: read, kept, added to metadata, and taken away again."""

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from common.clock import SystemClock
from common.identifiers import ProjectId
from common.settings import Secret
from tests.support.operating import AT_ONCE
from tests.support.reconciling import Office, found, opened_office
from tests.support.stripe_standin import DAY, KEY
from tests.support.town import Town
from tests.support.window_limiter import WindowLimiter
from writer.catalogue import yaml
from writer.catalogue.recompute_jobs import RecomputeJobs
from writer.gateway.stripe_gateway import StripeGateway
from writer.gateway.transport import StripeTransport
from writer.operations.audit import Actor
from writer.operations.operations import Operations
from writer.settings import StripeSettings
from writer.wakeup import Wakeup

BLIND = "rk_test_no_entitlements"


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    """A running town, and who compares it with Stripe."""
    async with opened_office(database_url) as made:
        yield made


@pytest.fixture
def town(office: Office) -> Town:
    """The town."""
    return office.town


async def sold(town: Town, codes: str | None = None) -> Any:
    """A price of a product of `shop`, whose metadata names `codes`."""
    named = {"project_id": "shop"} | ({} if codes is None else {"feature_codes": codes})
    product = await town.client.products.create_async({"name": "Pro", "metadata": named})
    return await town.client.prices.create_async(
        {"product": product.id, "currency": "eur", "unit_amount": 900, "recurring": {"interval": "month"}}
    )


async def attach(town: Town, price: Any, *keys: str) -> list[str]:
    """Attach a new feature for each lookup key to the price's product; the attachments' ids."""
    made = []
    for key in keys:
        feature = await town.client.entitlements.features.create_async({"name": key, "lookup_key": key})
        one = await town.client.products.features.create_async(price.product, {"entitlement_feature": feature.id})
        made.append(one.id)
    return made


async def sync(town: Town, key: str = KEY) -> None:
    """Bring everything that is sold over, as `billing catalog sync` does, with this key."""
    settings = StripeSettings(Secret(key), None, (), town.shop.standin.url, 100)
    async with StripeTransport(settings, WindowLimiter(1000), SystemClock()) as transport:
        await operations(town).sync_catalogue(StripeGateway(transport), Actor("test"))


def operations(town: Town) -> Operations:
    """The operator's acts."""
    ingest = town.ingest
    return Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, ingest.relay.notify)


async def features(town: Town) -> list[str]:
    """What ada holds once all is settled and everybody is computed."""
    await town.settled()
    ingest = town.ingest
    jobs = RecomputeJobs(
        ingest.transactions, ingest.recompute, instance="w", wakeup=Wakeup(), relay_wakeup=Wakeup(),
        clock=ingest.clock, registry=CollectorRegistry(), schedule=AT_ONCE,
    )  # fmt: skip
    while await jobs.step():
        pass
    return await town.features()


async def unheard(town: Town) -> None:
    """From now on no event arrives; a moment passes, so that what follows is dated later than what is held."""
    await town.settled()
    await town.shop.control("faults", fault="drop", types=["*"])
    town.wait(60)


async def test_what_is_attached_is_held_after_a_sync_and_gone_once_detached(town: Town) -> None:
    """Beside what metadata names; more of them than a page holds; detached, it leaves its holders."""
    price = await sold(town, "export")
    await town.subscribed(price)
    assert await features(town) == ["export"]
    await unheard(town)
    (one, *_) = await attach(town, price, "share", *(f"extra-{number}" for number in range(105)))
    await sync(town)
    held = await features(town)
    assert (len(held), {"export", "share", "extra-0", "extra-104"} <= set(held)) == (107, True)
    town.wait(60)
    await town.client.products.features.delete_async(price.product, one)
    await sync(town)
    assert set(held) - set(await features(town)) == {"share"}


async def test_an_event_of_the_product_brings_its_features_and_loses_none(town: Town) -> None:
    """A payload has none of them: the product is fetched with them, also when its metadata changed alone."""
    price = await sold(town)
    await attach(town, price, "share")
    await town.subscribed(price)
    assert await features(town) == ["share"]
    town.wait(DAY)
    await attach(town, price, "import")
    assert await features(town) == ["import", "share"]
    town.wait(DAY)
    await town.client.products.update_async(price.product, {"metadata": {"feature_codes": "export"}})
    assert await features(town) == ["export", "import", "share"]
    town.wait(DAY)
    await town.client.products.update_async(price.product, {"active": False, "name": "Old"})
    assert await features(town) == ["export", "import", "share"]


async def test_a_product_that_nobody_told_of_comes_with_its_features(town: Town) -> None:
    """Learned from a subscription to a price that was never seen."""
    await town.shop.control("faults", fault="drop", types=["product.*", "price.*"])
    price = await sold(town)
    await attach(town, price, "share")
    await town.subscribed(price)
    assert await features(town) == ["share"]


async def test_metadata_gives_values_and_the_catalogue_wins_where_it_speaks(town: Town) -> None:
    """An attached feature is plain; named in metadata it has its value; a declared plan replaces both."""
    price = await sold(town, "seats=5, export")
    await attach(town, price, "seats", "share", "export")
    await town.subscribed(price)
    assert await features(town) == ["export", "seats", "share"]
    assert (await town.answer("seats")).value == 5
    plan = {"features": {"seats": {"value": 9, "per_unit": False}}}
    declared = {"features": {"seats": {"kind": "limit"}}, "plans": {price.product: plan}}
    text = json.dumps({"version": 1, "projects": {"shop": declared}})
    await operations(town).apply_catalogue("shop", yaml.load(text)[ProjectId("shop")], Actor("test"))
    assert await features(town) == ["seats"]
    assert (await town.answer("seats")).value == 9


async def test_a_lookup_key_that_is_no_feature_code_is_passed_over(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; the product's other features count, and nothing is parked."""
    price = await sold(town)
    await attach(town, price, "My super feature", "share", "k" * 80)
    await town.subscribed(price)
    with caplog.at_level(logging.WARNING):
        await sync(town)
    assert await features(town) == ["share"]
    assert "product feature is passed over" in caplog.text


async def test_the_nightly_reconcile_finds_what_was_attached_and_detached(office: Office) -> None:
    """Stripe need not tell of either: one request a product compares them."""
    town = office.town
    price = await sold(town)
    (one,) = await attach(town, price, "share")
    await town.subscribed(price)
    assert await features(town) == ["share"]
    await unheard(town)
    await town.client.products.features.delete_async(price.product, one)
    await attach(town, price, "import")
    report = await office.reconciled()
    assert found(report, "repaired") == {price.product: {"features": ["['share']", "['import']"]}}
    assert await features(town) == ["import"]
    town.wait(60)
    assert (await office.reconciled(full=True))["findings"] == []


async def test_a_key_that_may_not_read_them_loses_none(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    """Products are mirrored all the same; what was read before stays, and the log says what the key lacks, once."""
    price = await sold(town, "export")
    await attach(town, price, "share")
    await town.subscribed(price)
    assert await features(town) == ["export", "share"]
    await unheard(town)
    await town.client.products.update_async(price.product, {"metadata": {"feature_codes": "import"}})
    await sold(town)
    with caplog.at_level(logging.WARNING):
        await sync(town, BLIND)
    assert await features(town) == ["import", "share"]
    assert caplog.text.count("give the restricted key Read on Entitlements") == 1
