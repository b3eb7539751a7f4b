"""A preview tells what an act would come to, by the rules that decide it afterwards."""

from typing import Any

from common.clock import SECOND, Instant, format_time
from tests.support import stripe_objects as stripe
from tests.support.explaining import Counter
from tests.support.stripe_objects import MONTH, NOW, Json

UPDATED, COMPLETED = "customer.subscription.updated", "checkout.session.completed"
DAY = 86_400


async def test_a_preview_is_what_the_act_then_does(counter: Counter) -> None:
    """Bought, cancelled now or later, refunded, granted, revoked: the difference by feature, and nothing is written."""
    await counter.deliver(UPDATED, stripe.subscription(), NOW)
    await counter.deliver(COMPLETED, stripe.session("cs_1"), NOW + DAY)
    before = await counter.operations.project("shop")

    async def changes(**act: Any) -> tuple[dict[str, str], str, list[str]]:
        status, found = await counter.preview(**act)
        assert status == 200, found
        changed = {one["feature"]: one["change"] for one in found["features"] if one["change"]}
        return changed, found["takes_effect_at"], found["notes"]

    now, end = format_time(Instant((NOW + DAY) * SECOND)), format_time(Instant((NOW + MONTH) * SECOND))
    assert await changes(cancel="sub_1") == ({"export": "lose"}, end, [])
    assert await changes(cancel="sub_1", now=True) == ({"export": "lose"}, now, [])
    assert await changes(refund="cs_1") == ({"archive": "lose"}, now, [])
    part = await changes(refund="cs_1", amount=400)
    assert (part[0], "400 of 1000" in part[2][0]) == ({}, True)
    assert await changes(grant={"feature": "export"}) == ({"export": "longer"}, now, [])
    again = await changes(buy="price_pro")
    assert "sub_1" in again[2][0]
    assert (await changes(revoke="export"))[2] != []
    assert (await counter.preview(user_id="new", buy="price_life"))[1]["after"][0]["source"] == "purchase"
    assert (await counter.operations.project("shop")) == before
    await counter.deliver("refund.created", stripe.refund(), NOW + DAY)
    assert not (await counter.feature("archive"))["allowed"]


async def test_what_cannot_be_previewed_says_why(counter: Counter) -> None:
    """With the codes that the acts themselves have."""
    await counter.ingest.query("UPDATE prices SET project_id = NULL WHERE id = 'price_life'")
    asked: list[tuple[Json, int, str]] = [
        ({}, 400, "invalid_body"),
        ({"buy": "price_pro", "refund": "cs_1"}, 400, "invalid_body"),
        ({"buy": "price_none"}, 404, "unknown_price"),
        ({"buy": "price_pro", "quantity": 0}, 400, "invalid_quantity"),
        ({"buy": "price_life"}, 409, "price_of_another_project"),
        ({"cancel": "sub_none"}, 404, "unknown_object"),
        ({"refund": "cs_none"}, 404, "unknown_object"),
        ({"grant": {"feature": "nope"}}, 404, "unknown_feature"),
        ({"project_id": "none", "buy": "price_pro"}, 404, "unknown_project"),
    ]
    for body, status, code in asked:
        answered, problem = await counter.preview(**body)
        assert (answered, problem["code"]) == (status, code)
