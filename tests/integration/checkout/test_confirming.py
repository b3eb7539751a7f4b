"""Confirm, portal and subscriptions: what a payer meets after the payment."""

import pytest

from common.position import Position
from sandbox.stripe.faults import OutageMode
from tests.support.checkout import Json, Shop, both

DAY = 86_400


async def confirm(shop: Shop, session_id: str, **more: object) -> Json:
    """A good answer of confirm."""
    status, answer = await shop.post("checkout/confirm", {"session_id": session_id, **more})
    assert status == 200, answer
    return answer


def features(answer: Json) -> list[str]:
    """The features that an answer lists."""
    return [row["feature_code"] for row in answer["entitlements"]]


async def head(shop: Shop) -> Position:
    """The project's committed head."""
    (row,) = await shop.rows("SELECT epoch, revision FROM projects WHERE public_id = 'notes'")
    return Position(row.epoch, row.revision)


async def test_paid_subscription_holds_at_once(shop: Shop) -> None:
    """Back from Stripe, without any webhook, the subscriber has the features, and a token that contains them."""
    before = await head(shop)
    session_id = await shop.checkout()
    await shop.pay(session_id)
    answer = await confirm(shop, session_id, user_id="ann")
    assert (answer["status"], answer["pending"], answer["user_id"]) == ("complete", False, "ann")
    assert features(answer) == ["export"]
    assert answer["entitlements"][0]["source"] == "subscription"
    position = Position.parse(answer["token"])
    assert (answer["epoch"], answer["revision"]) == position
    assert before < position == await head(shop)
    (row,) = await shop.rows("SELECT revision, body FROM documents")
    assert row.body == answer["entitlements"]
    assert row.revision <= position.revision


async def test_paid_purchase_holds_at_once(shop: Shop) -> None:
    """A one-time purchase is for life at once."""
    session_id = await shop.checkout("once")
    await shop.pay(session_id)
    (row,) = (await confirm(shop, session_id))["entitlements"]
    assert (row["feature_code"], row["source"], row["valid_to"]) == ("fonts", "purchase", None)


async def test_confirm_again_changes_nothing(shop: Shop) -> None:
    """Confirms at once and after each other, on both writers, make one revision and answer alike."""
    session_id = await shop.checkout("once")
    await shop.pay(session_id)
    before = await head(shop)
    body = {"session_id": session_id}
    answers = await both(*(shop.post("checkout/confirm", body, writer=n % 2) for n in range(4)))
    assert [status for status, _ in answers] == [200] * 4
    assert (await head(shop)).revision == before.revision + 1
    again = await confirm(shop, session_id)
    assert features(again) == ["fonts"]
    assert Position.parse(again["token"]) == await head(shop)


@pytest.mark.parametrize("price", ["pro", "once"])
async def test_confirms_at_the_same_moment(shop: Shop, price: str) -> None:
    """Two writers confirm at the same moment: one revision, one purchase."""
    session_id = await shop.checkout(price)
    await shop.pay(session_id)
    confirmed = [shop.post("checkout/confirm", {"session_id": session_id}, writer=n % 2) for n in range(4)]
    answers = await both(*confirmed)
    assert [status for status, _ in answers] == [200] * 4
    assert len({tuple(row["feature_code"] for row in answer["entitlements"]) for _, answer in answers}) == 1
    assert len(await shop.rows("SELECT 1 FROM entitlement_history")) == 1


async def test_open_session_changes_nothing(shop: Shop) -> None:
    """A session that nobody paid is told as open, with what the user holds already."""
    before = await head(shop)
    answer = await confirm(shop, await shop.checkout())
    assert (answer["status"], answer["pending"], answer["entitlements"]) == ("open", False, [])
    assert Position.parse(answer["token"]) == before == await head(shop)


async def test_expired_session_is_told_as_expired(shop: Shop) -> None:
    """A session that ran out grants nothing."""
    session_id = await shop.checkout()
    await shop.pay(session_id, "expire")
    answer = await confirm(shop, session_id)
    assert (answer["status"], answer["pending"], answer["entitlements"]) == ("expired", False, [])


async def test_money_on_its_way_is_pending_until_it_arrives(shop: Shop) -> None:
    """An asynchronous payment is pending, then holds once it succeeded."""
    session_id = await shop.checkout("once")
    await shop.pay(session_id, "pay_async")
    answer = await confirm(shop, session_id)
    assert (answer["status"], answer["pending"], answer["entitlements"]) == ("complete", True, [])
    await shop.pay(session_id, "async_succeed")
    await shop.play("clock", {"advance": 5})
    answer = await confirm(shop, session_id)
    assert (answer["pending"], features(answer)) == (False, ["fonts"])


async def test_money_that_failed_is_not_pending(shop: Shop) -> None:
    """An asynchronous payment that failed is not told as on its way for ever."""
    session_id = await shop.checkout("once")
    await shop.pay(session_id, "pay_async")
    await shop.pay(session_id, "async_fail")
    answer = await confirm(shop, session_id)
    assert (answer["status"], answer["pending"], answer["entitlements"]) == ("complete", False, [])


async def test_sessions_that_are_not_ours_are_unknown(shop: Shop) -> None:
    """Another project's session, one that names nobody, and none at all are 404 alike, and nothing is applied."""
    line = {"line_items[0][price]": shop.prices["once"], "line_items[0][quantity]": "1", "mode": "payment"}
    form = {**line, "success_url": "https://x.example", "metadata[project_id]": "maps", "metadata[user_id]": "ann"}
    foreign = await shop.at_stripe("checkout/sessions", form)
    other = {**form, "line_items[0][price]": await shop.price(None, recurring=False)}
    del other["metadata[project_id]"]
    unnamed = await shop.at_stripe("checkout/sessions", other)
    for session_id in (foreign["id"], unnamed["id"], "cs_test_none", ".."):
        if session_id.startswith("cs_test_") and session_id != "cs_test_none":
            await shop.pay(session_id)
        status, answer = await shop.post("checkout/confirm", {"session_id": session_id})
        assert (status, answer["code"]) == (404, "unknown_session")
    assert await shop.rows("SELECT id FROM purchases") == []


async def test_session_without_metadata_is_ours_by_price(shop: Shop) -> None:
    """A payment link's session of one of our prices is applied for the user that its reference names."""
    line = {"line_items[0][price]": shop.prices["once"], "line_items[0][quantity]": "1", "mode": "payment"}
    form = {**line, "success_url": "https://x.example", "client_reference_id": "ann"}
    session = await shop.at_stripe("checkout/sessions", form)
    await shop.pay(session["id"])
    assert features(await confirm(shop, session["id"])) == ["fonts"]


async def test_session_of_another_user_is_refused(shop: Shop) -> None:
    """Who returns with somebody else's session is not shown that user's entitlements."""
    session_id = await shop.checkout("once", user="bob")
    await shop.pay(session_id)
    status, answer = await shop.post("checkout/confirm", {"session_id": session_id, "user_id": "ann"})
    assert (status, answer["code"]) == (403, "session_of_another_user")
    assert "entitlements" not in answer


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_body"),
        ({"session_id": ""}, "invalid_body"),
        ({"session_id": "cs_1/../x"}, "invalid_body"),
        ({"session_id": "cs_1", "user_id": ""}, "user_required"),
        ([], "invalid_body"),
    ],
)
async def test_bad_confirm_is_refused(shop: Shop, body: object, code: str) -> None:
    """A wrong body is refused with 400 and a code."""
    status, answer = await shop.post("checkout/confirm", body)
    assert (status, answer["code"]) == (400, code)


async def test_confirm_while_stripe_is_down(shop: Shop) -> None:
    """While Stripe is down confirm is 503; afterwards the same request succeeds."""
    session_id = await shop.checkout("once")
    await shop.pay(session_id)
    shop.standin.outage.begin(OutageMode.DOWN)
    response = await shop.respond("checkout/confirm", {"session_id": session_id})
    assert (response.status, (await response.json())["code"]) == (503, "stripe_unavailable")
    shop.standin.outage.begin(OutageMode.NONE)
    assert features(await confirm(shop, session_id)) == ["fonts"]


async def test_portal_opens_for_the_users_own_customer(shop: Shop) -> None:
    """A user with a customer gets a portal in the project's configuration; who never came gets 404."""
    body = {"user_id": "ann", "return_url": "https://app.example.com/account"}
    status, answer = await shop.post("portal/create-session", body)
    assert (status, answer["code"]) == (404, "no_customer")
    await shop.checkout()
    made = await shop.at_stripe("billing_portal/configurations", {"features[invoice_history][enabled]": "true"})
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE projects SET portal_configuration = '{made['id']}'")
    status, answer = await shop.post("portal/create-session", body)
    assert status == 200, answer
    assert answer["url"].startswith(f"{shop.standin.url}/p/session/")
    (session,) = shop.standin.store.all("billing_portal.session")
    assert (session["configuration"], session["return_url"]) == (made["id"], "https://app.example.com/account")


async def test_portal_of_a_deleted_customer_is_404(shop: Shop) -> None:
    """A customer that is gone at Stripe has no portal."""
    session = await shop.at_stripe(f"checkout/sessions/{await shop.checkout('once')}")
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    async with shop.clients[0].session.delete(
        f"{shop.standin.url}/v1/customers/{session['customer']}", headers=headers
    ):
        pass
    body = {"user_id": "ann", "return_url": "https://app.example.com/account"}
    status, answer = await shop.post("portal/create-session", body)
    assert (status, answer["code"]) == (404, "no_customer")


async def test_portal_of_a_customer_that_pays_for_others_too_is_refused(shop: Shop) -> None:
    """A portal shows all that its customer pays for: none is opened where that is not only this user's."""
    await shop.checkout()
    body = {"user_id": "ann", "return_url": "https://app.example.com/account"}
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql(_FOREIGN_SUBSCRIPTION.format(status="active"))
    status, answer = await shop.post("portal/create-session", body)
    assert (status, answer["code"]) == (409, "shared_customer")
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE subscriptions SET status = 'canceled'")
    status, answer = await shop.post("portal/create-session", body)
    assert status == 200, answer


_FOREIGN_SUBSCRIPTION = """
WITH theirs AS (
    INSERT INTO subscriptions (id, customer_id, status, started_at, cancel_at_period_end, collection_method, livemode)
    SELECT 'sub_theirs', id, '{status}', now(), false, 'charge_automatically', false FROM stripe_customers
    RETURNING id)
INSERT INTO subscription_items (id, subscription_id, price_id, product_id, quantity, period_start, period_end)
SELECT 'si_theirs', id, 'price_theirs', 'prod_theirs', 1, now(), now() + interval '1 month' FROM theirs
"""


async def test_portal_returns_to_listed_hosts_only(shop: Shop) -> None:
    """The portal leads back to the project's hosts only."""
    body = {"user_id": "ann", "return_url": "https://evil.example.com/"}
    status, answer = await shop.post("portal/create-session", body)
    assert (status, answer["code"]) == (400, "return_host_not_allowed")


async def test_subscriptions_tell_plan_and_true_end(shop: Shop) -> None:
    """An account page finds plan, price, period and, once it is cancelled, the end; other users' stay out of it."""
    session_id = await shop.checkout(quantity=2)
    await shop.pay(session_id)
    await confirm(shop, session_id)
    _, answer = await shop.get("subscriptions?user_id=ann")
    (subscription,) = answer["subscriptions"]
    (item,) = subscription["items"]
    assert (subscription["status"], subscription["ends_at"], subscription["past_due_until"]) == ("active", None, None)
    assert (item["product_name"], item["quantity"], item["unit_amount"], item["interval"]) == ("Pro", 2, 900, "month")
    assert item["current_period_start"] < item["current_period_end"]
    assert (await shop.get("subscriptions?user_id=bob"))[1]["subscriptions"] == []
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE subscriptions SET cancel_at_period_end = true")
    _, answer = await shop.get("subscriptions?user_id=ann")
    assert answer["subscriptions"][0]["ends_at"] == item["current_period_end"]


async def test_past_due_subscription_tells_its_grace(shop: Shop) -> None:
    """A subscription with an open invoice says until when it still grants."""
    session_id = await shop.checkout()
    await shop.pay(session_id)
    await confirm(shop, session_id)
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE subscriptions SET status = 'past_due'")
        await connection.exec_driver_sql(
            "INSERT INTO invoices (id, subscription_id, status, finalized_at, currency, amount_due, amount_paid,"
            " livemode)"
            " SELECT 'in_late', id, 'open', '2026-01-01T00:00:00Z', 'usd', 900, 0, false FROM subscriptions"
        )
    _, answer = await shop.get("subscriptions?user_id=ann")
    assert answer["subscriptions"][0]["past_due_until"] == "2026-01-31T00:00:00Z"


async def test_subscriptions_need_a_user(shop: Shop) -> None:
    """Without a user the question is refused."""
    status, answer = await shop.get("subscriptions")
    assert (status, answer["code"]) == (400, "user_required")
