"""Features of products, as Stripe's Entitlements API has them."""

from typing import Any

import pytest
import stripe

from tests.support.stripe_standin import Shop


async def made(shop: Shop, key: str) -> Any:
    """A feature."""
    return await shop.client.v1.entitlements.features.create_async({"name": key.title(), "lookup_key": key})


async def test_attached_features_are_listed_by_pages_and_detached(shop: Shop) -> None:
    """They show the feature as it is now; each product has its own."""
    v1: Any = shop.client.v1
    one, two = [await v1.products.create_async({"name": name}) for name in ("One", "Two")]
    attached = []
    for number in range(12):
        feature = await made(shop, f"key-{number}")
        attached.append(await v1.products.features.create_async(one.id, {"entitlement_feature": feature.id}))
    first = await v1.products.features.list_async(one.id)
    assert (len(first.data), first.has_more, first.url) == (10, True, f"/v1/products/{one.id}/features")
    keys = [entry.entitlement_feature.lookup_key async for entry in first.auto_paging_iter()]
    assert sorted(keys) == sorted(f"key-{number}" for number in range(12))
    assert (await v1.products.features.list_async(two.id)).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such product"):
        await v1.products.features.list_async("prod_none")
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        await v1.products.features.delete_async(two.id, attached[0].id)
    await v1.entitlements.features.update_async(attached[0].entitlement_feature.id, {"name": "New"})
    assert (await v1.products.features.retrieve_async(one.id, attached[0].id)).entitlement_feature.name == "New"
    assert (await v1.products.features.delete_async(one.id, attached[0].id)).deleted
    left = await v1.products.features.list_async(one.id, {"limit": 100})
    assert len(left.data) == 11


async def test_an_archived_feature_stays_attached_and_cannot_be_attached_anew(shop: Shop) -> None:
    """It is on the list of archived ones alone."""
    v1: Any = shop.client.v1
    one, two = [await v1.products.create_async({"name": name}) for name in ("One", "Two")]
    feature = await made(shop, "exports")
    await v1.products.features.create_async(one.id, {"entitlement_feature": feature.id})
    with pytest.raises(stripe.InvalidRequestError, match="already attached"):
        await v1.products.features.create_async(one.id, {"entitlement_feature": feature.id})
    await v1.entitlements.features.update_async(feature.id, {"active": False})
    (still,) = (await v1.products.features.list_async(one.id)).data
    assert still.entitlement_feature.active is False
    with pytest.raises(stripe.InvalidRequestError, match="archived"):
        await v1.products.features.create_async(two.id, {"entitlement_feature": feature.id})
    assert (await v1.entitlements.features.list_async()).data == []
    assert [found.id for found in (await v1.entitlements.features.list_async({"archived": True})).data] == [feature.id]


async def test_a_restricted_key_may_lack_them(shop: Shop) -> None:
    """403 for features and attachments; products themselves are shown."""
    product = await shop.client.v1.products.create_async({"name": "One"})
    key: Any = {"api_key": "rk_test_no_entitlements"}
    assert (await shop.client.v1.products.retrieve_async(product.id, {}, key)).id == product.id
    with pytest.raises(stripe.PermissionError):
        await shop.client.v1.products.features.list_async(product.id, {}, key)
    with pytest.raises(stripe.PermissionError):
        await shop.client.v1.entitlements.features.list_async({}, key)
