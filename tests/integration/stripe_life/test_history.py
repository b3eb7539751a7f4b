"""The past: what a user held at any time, by which price, purchase or grant, and what caused each change."""

from typing import Any

from common.clock import Instant
from common.identifiers import FeatureCode, UserId
from tests.support.stripe_standin import DAY
from tests.support.town import GRACE, Town, owned, period_end
from writer.operations.audit import Actor
from writer.operations.grants import GrantOrder
from writer.operations.operations import Operations


def operations(town: Town) -> Operations:
    """An operator's side of the town."""
    ingest = town.ingest
    return Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, ingest.relay.notify)


async def held_at(town: Town, moment: int, feature: str = "export", user: str = "ada") -> Any:
    """What history answers about one feature at a moment, Unix seconds."""
    asked = (UserId(user), FeatureCode(feature), Instant(moment * 1_000_000))
    then = await operations(town).held_at("shop", *asked)
    return then["features"][0]


async def test_each_time_has_its_price_and_cause(town: Town) -> None:
    """Bought, changed to another price, arrears, cancelled: each time is answered with the price of that time."""
    town.ingest.clock.at = town.now
    monthly, yearly = await town.price("export"), await town.price("export", "year")
    before = town.now - DAY
    bought = await town.subscribed(monthly)
    await town.settled()
    town.wait(5 * DAY)
    changed = await town.change(bought, items=[{"id": bought["items"].data[0].id, "price": yearly.id}])
    await town.settled()
    second = town.now
    town.wait(5 * DAY)
    await town.client.subscriptions.cancel_async(bought.id)
    await town.settled()
    town.wait(DAY)
    first, then, last = [await held_at(town, at) for at in (second - DAY, second + DAY, town.now)]
    assert (await held_at(town, before))["reason"] == "not_granted"
    assert [one["allowed"] for one in (first, then, last)] == [True, True, False]
    assert first["grants"][0]["origin"]["items"][0]["price_id"] == monthly.id
    origin = then["grants"][0]["origin"]
    assert (origin["status"], origin["items"][0]["price_id"], origin["items"][0]["plan"]) == (
        "active", yearly.id, yearly.id,
    )  # fmt: skip
    assert then["valid_to"] is not None
    assert then["grants"][0]["since"] == first["grants"][0]["since"]
    # Whichever of the two events came first: the session's fetch brings its subscription along.
    assert then["grants"][0]["since"]["event"]["object_id"].startswith((bought.id, "cs_"))
    assert last["reason"] == "expired"
    assert last["grants"][0]["origin"]["status"] == "canceled"
    assert period_end(changed) + GRACE > town.now


async def test_a_price_that_changes_without_a_word_in_the_document(town: Town) -> None:
    """Where another price grants the same until the same end no revision is made, and history knows it all the same."""
    one, other = await town.price("export"), await town.price("export", amount=7000)
    bought = await town.subscribed(one)
    await town.settled()
    town.wait(DAY)
    await town.change(bought, items=[{"id": bought["items"].data[0].id, "price": other.id}])
    await town.settled()
    town.wait(DAY)
    prices = [
        (await held_at(town, town.now - ago))["grants"][0]["origin"]["items"][0]["price_id"] for ago in (DAY + 60, 0)
    ]
    assert prices == [one.id, other.id]
    assert len(await town.ingest.query("SELECT 1 FROM entitlement_history WHERE user_id = 'ada'")) == 1


async def test_changes_are_told_newest_first(town: Town) -> None:
    """A purchase, a grant and a refund, each with what came or went and its cause."""
    price = await town.price("archive", None)
    await town.price("export")
    session = await town.shop.bought(price, mode="payment", metadata=owned())
    await town.settled()
    order = GrantOrder(UserId("ada"), FeatureCode("export"), None, None, None, "a friend", None)
    granted = await operations(town).grant("shop", order, Actor("cli:tester"))
    await town.client.refunds.create_async({"payment_intent": session.payment_intent})
    await town.settled()
    now = Instant(town.ingest.clock.now() + 1)
    told = await operations(town).history("shop", UserId("ada"), None, now, 10)
    moved = [
        ([row["feature_code"] for row in one["held"]], [row["feature_code"] for row in one["gone"]]) for one in told
    ]
    assert moved == [([], ["archive"]), (["export"], []), (["archive"], [])]
    assert [one["cause"] for one in told][1] == f"grant:{granted.id}"
    assert told[0]["event"]["type"].startswith(("refund.", "charge.refunded"))
    only = await operations(town).history("shop", UserId("ada"), FeatureCode("export"), now, 10)
    assert [one["revision"] for one in only] == [told[1]["revision"]]
    grant = (await held_at(town, town.now + 60))["grants"][0]
    assert (grant["origin"]["reason"], grant["origin"]["actor"]) == ("a friend", "cli:tester")


async def test_nobody_has_an_empty_past(town: Town) -> None:
    """Of somebody who never was, nothing is told, and every feature was not granted."""
    await town.price("export")
    await town.settled()
    told = await operations(town).history("shop", UserId("nobody"), None, town.ingest.clock.now(), 10)
    assert (told, (await held_at(town, town.now + 60, user="nobody"))["allowed"]) == ([], False)
