"""Declared catalogues in Stripe's metadata, on the stand-in with the official SDK; and back through the mirror."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from common.clock import SystemClock
from common.settings import Secret
from tests.support.operating import ACTOR, Operating
from tests.support.stripe_catalogue import mirror
from tests.support.stripe_standin import KEY, SECRET, Shop, opened
from tests.support.window_limiter import WindowLimiter
from writer.catalogue.push import Push
from writer.gateway.stripe_catalogue import StripeCatalogue
from writer.gateway.transport import StripeTransport
from writer.settings import StripeSettings

PATH = "/api/v1/admin/projects/shop/catalog"
FEATURES: dict[str, Any] = {
    "export": {},
    "seats": {"kind": "limit", "combine": "sum"},
    "calls": {"kind": "limit"},
    "theme": {"kind": "config"},
}


@dataclass
class Pushing:
    """An operator, a stand-in, and the door between them."""

    side: Operating
    shop: Shop
    shelf: StripeCatalogue

    async def declare(self, plans: dict[str, Any], project: str = "shop", features: Any = None) -> None:
        """Put a project's catalogue in force."""
        body = {"features": FEATURES if features is None else features, "plans": plans}
        status, answer = await self.side.call("PUT", f"/api/v1/admin/projects/{project}/catalog", body)
        assert status == 200, answer

    async def push(self, project: str | None = None) -> Push:
        """Look what differs and write it."""
        found = await self.side.operations.push.compare(self.shelf, project)
        await self.side.operations.push.write(self.shelf, found, ACTOR)
        return found


@pytest.fixture
async def pushing(side: Operating) -> AsyncIterator[Pushing]:
    """Both, with a project `shop`."""
    await side.project()
    async with opened() as shop:
        settings = StripeSettings(Secret(KEY), None, (Secret(SECRET),), shop.standin.url, 100)
        async with StripeTransport(settings, WindowLimiter(100), SystemClock()) as transport:
            yield Pushing(side, shop, StripeCatalogue(transport))


async def test_what_was_pushed_and_mirrored_says_the_same(pushing: Pushing) -> None:
    """The product.updated and price.updated that follow make the same plans, from Stripe's metadata alone."""
    price = await pushing.shop.price(metadata={"colour": "blue"})
    empty = await pushing.shop.price()
    plans = {
        price.product: {"features": {"export": True, "seats": {"value": 5, "per_unit": True}, "calls": "unlimited"}},
        price.id: {"features": {"calls": 7}},
        empty.id: {"features": []},
    }
    await pushing.declare(plans)
    before = (await pushing.side.call("GET", PATH))[1]["in_force"]["plans"]
    done = await pushing.push("shop")
    assert {one.target: one.after["feature_codes"] for one in done.differences} == {
        price.product: "calls=unlimited, export, seats=5/unit", price.id: "calls=7", empty.id: ",",
    }  # fmt: skip
    assert "product.updated" in await pushing.shop.settled()
    held = await pushing.shop.client.v1.prices.retrieve_async(price.id)
    assert held.metadata.to_dict() == {"colour": "blue", "project_id": "shop", "feature_codes": "calls=7"}
    await pushing.declare({}, features={"export": {}, "seats": {"kind": "limit"}, "calls": {"kind": "limit"}})
    for event in pushing.shop.receiver.events:
        if event["type"] in {"product.updated", "price.updated", "price.created", "product.created"}:
            await mirror(pushing.side, event["data"]["object"])
    after = (await pushing.side.call("GET", PATH))[1]["in_force"]["plans"]
    assert [{**plan, "origin": "catalog"} for plan in after] == before


async def test_a_second_push_finds_nothing_to_do(pushing: Pushing) -> None:
    """Only what differs is written, and each has a line in the audit log."""
    price = await pushing.shop.price()
    await pushing.declare({price.id: {"features": ["export"]}})
    assert len((await pushing.push()).differences) == 1
    again = await pushing.push()
    assert (again.differences, again.same, again.faults) == ([], 1, [])
    await pushing.declare({price.id: {"features": {"export": True, "calls": 3}}})
    (one,) = (await pushing.push()).differences
    assert (one.before, one.after) == ({"feature_codes": "export"}, {"feature_codes": "calls=3, export"})
    rows = await pushing.side.rows("SELECT subject FROM audit_log WHERE action = 'catalog.push'")
    assert rows == [(price.id,), (price.id,)]


async def test_what_was_pushed_goes_with_its_target(pushing: Pushing) -> None:
    """Once out of the catalogue it names no feature; what others wrote there stays, and whose it is."""
    ours, edited, other = await pushing.shop.price(), await pushing.shop.price(), await pushing.shop.price()
    prices = pushing.shop.client.v1.prices
    await prices.update_async(other.id, {"metadata": {"feature_codes": "calls=3"}})
    await pushing.declare({one.id: {"features": ["export"]} for one in (ours, edited)})
    await pushing.push()
    await prices.update_async(edited.id, {"metadata": {"feature_codes": "calls=9"}})
    await pushing.declare({})
    cleaned = await pushing.push("shop")
    assert [(one.target, one.before, one.after) for one in cleaned.differences] == [
        (ours.id, {"feature_codes": "export"}, {"feature_codes": None})
    ]
    assert [note.partition(":")[0] for note in cleaned.notes] == [edited.id]
    held = [(await prices.retrieve_async(one.id)).metadata.to_dict() for one in (ours, edited, other)]
    assert held == [
        {"project_id": "shop"}, {"project_id": "shop", "feature_codes": "calls=9"}, {"feature_codes": "calls=3"},
    ]  # fmt: skip
    assert (await pushing.push()).differences == []


async def test_what_another_catalogue_names_now_is_not_cleaned(pushing: Pushing) -> None:
    """A price that moved to another project's catalogue is that one's to speak for."""
    await pushing.side.project("blog")
    price = await pushing.shop.price()
    await pushing.declare({price.id: {"features": ["export"]}})
    await pushing.push("shop")
    await pushing.declare({})
    await pushing.declare({price.id: {"features": ["export"]}}, project="blog")
    assert (await pushing.push("shop")).differences == []


async def test_what_metadata_cannot_hold_is_told(pushing: Pushing) -> None:
    """A configuration stays in the file; too many characters, an unknown id and another's project are faults."""
    price, other = await pushing.shop.price(), await pushing.shop.price(metadata={"project_id": "blog"})
    features = {**FEATURES, **{f"feature-with-a-long-name-{n}": {} for n in range(30)}}
    plans = {
        price.id: {"features": {"theme": "dark"}},
        price.product: {"features": [code for code in features if code.startswith("feature")]},
        other.id: {"features": ["export"]},
        "price_gone": {"features": ["export"]},
    }
    await pushing.declare(plans, features=features)
    found = await pushing.side.operations.push.compare(pushing.shelf, None)
    assert found.notes == [
        f"{price.id}: `theme` is a configuration, which metadata cannot hold: it stays in catalog.yaml"
    ]
    assert [fault.partition(": ")[0] for fault in found.faults] == [*sorted(["price_gone", other.id]), price.product]
    assert "feature_codes would have 8" in found.faults[-1]
    assert any("metadata says project_id blog" in fault for fault in found.faults)


async def test_a_product_takes_no_price_of_another_project_along(pushing: Pushing) -> None:
    """A price that only another catalogue names would move with its product's project_id; pushed first, it stays."""
    await pushing.side.project("blog")
    price = await pushing.shop.price()
    for event in [*pushing.shop.receiver.events] or await _events(pushing):
        await mirror(pushing.side, event["data"]["object"])
    await pushing.declare({price.id: {"features": ["export"]}}, project="blog")
    await pushing.declare({price.product: {"features": ["export"]}})
    (fault,) = (await pushing.side.operations.push.compare(pushing.shelf, "shop")).faults
    assert f"its prices {price.id} are another project's" in fault
    both = await pushing.push()
    assert ([one.target for one in both.differences], both.faults) == ([price.id, price.product], [])


async def _events(pushing: Pushing) -> list[dict[str, Any]]:
    await pushing.shop.settled()
    return pushing.shop.receiver.events
