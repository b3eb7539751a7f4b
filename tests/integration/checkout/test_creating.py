"""Opening checkouts: what Stripe is told, and that clicks, retries and races open one session."""

import asyncio

import pytest

from sandbox.stripe.faults import OutageMode
from tests.support.checkout import Shop, both


async def test_session_carries_its_owner_everywhere(shop: Shop) -> None:
    """A subscription's session names user and project on itself, on what it makes, and on its customer."""
    status, answer = await shop.post("checkout/create", shop.order(quantity=3, trial_days=7, user="org:1"))
    assert status == 200, answer
    session = await shop.at_stripe(f"checkout/sessions/{answer['session_id']}")
    assert answer["url"] == session["url"]
    assert session["mode"] == "subscription"
    assert session["client_reference_id"] == "org:1"
    owner = {"user_id": "org:1", "project_id": "notes"}
    assert session["metadata"].items() >= owner.items()
    assert session["success_url"] == "https://app.example.com/paid?session_id={CHECKOUT_SESSION_ID}"
    customer = await shop.at_stripe(f"customers/{session['customer']}")
    assert customer["metadata"] == owner
    await shop.pay(session["id"])
    paid = await shop.at_stripe(f"checkout/sessions/{answer['session_id']}")
    subscription = await shop.at_stripe(f"subscriptions/{paid['subscription']}")
    assert subscription["metadata"] == owner
    assert subscription["status"] == "trialing"
    assert subscription["items"]["data"][0]["quantity"] == 3


async def test_one_time_price_makes_a_payment(shop: Shop) -> None:
    """A price that is paid once opens a payment, whose intent names the owner too."""
    session_id = await shop.checkout("once")
    await shop.pay(session_id)
    session = await shop.at_stripe(f"checkout/sessions/{session_id}")
    assert session["mode"] == "payment"
    intent = await shop.at_stripe(f"payment_intents/{session['payment_intent']}")
    assert intent["metadata"] == {"user_id": "ann", "project_id": "notes"}


async def test_email_goes_to_the_new_customer(shop: Shop) -> None:
    """An e-mail address is given to the customer that the first checkout makes."""
    session = await shop.at_stripe(f"checkout/sessions/{await shop.checkout(email='ann@example.com')}")
    assert (await shop.at_stripe(f"customers/{session['customer']}"))["email"] == "ann@example.com"


async def test_double_click_on_two_writers_opens_one_session(shop: Shop) -> None:
    """Equal requests at the same moment, on two writers, are answered with one session."""
    shop.standin.outage.begin(OutageMode.SLOW, delay=0.1)  # so that all of them look before any records
    answers = await both(*(shop.post("checkout/create", shop.order(), writer=n % 2) for n in range(8)))
    assert {status for status, _ in answers} == {200}
    assert len({answer["session_id"] for _, answer in answers}) == 1
    assert len((await shop.at_stripe("checkout/sessions"))["data"]) == 1


async def test_concurrent_first_purchases_make_one_customer(shop: Shop) -> None:
    """Different first purchases of a user at the same moment, with other addresses, share one customer."""
    shop.standin.outage.begin(OutageMode.SLOW, delay=0.1)  # so that all of them look before any records
    orders = [shop.order("team"), shop.order("once", email="a@example.com"), shop.order("pro", email="b@example.com")]
    answers = await both(*(shop.post("checkout/create", order, writer=n % 2) for n, order in enumerate(orders)))
    assert [status for status, _ in answers] == [200, 200, 200]
    sessions = (await shop.at_stripe("checkout/sessions"))["data"]
    assert len({session["customer"] for session in sessions}) == 1
    assert len((await shop.at_stripe("customers"))["data"]) == 1
    assert len(await shop.rows("SELECT id FROM stripe_customers WHERE is_primary")) == 1


async def test_open_session_is_given_again_until_it_ends(shop: Shop) -> None:
    """An equal request gets the open session; once that expired at Stripe, it gets another."""
    first = await shop.checkout()
    assert await shop.checkout() == first
    await shop.pay(first, "expire")
    second = await shop.checkout()
    assert second != first
    assert await shop.checkout() == second


async def test_paid_one_time_price_can_be_bought_again(shop: Shop) -> None:
    """A session that was paid is not given again for a purchase that may be made twice."""
    first = await shop.checkout("once")
    await shop.pay(first)
    assert await shop.checkout("once") != first


async def test_idempotency_key_repeats_its_session(shop: Shop) -> None:
    """The same key and body give the same session, also after it was paid; another key gives another session."""
    order, key = shop.order("once"), {"Idempotency-Key": "k-1"}
    answers = await both(*(shop.post("checkout/create", order, writer=n % 2, headers=key) for n in range(6)))
    (first,) = {answer["session_id"] for _, answer in answers}
    await shop.pay(first)
    assert (await shop.post("checkout/create", order, headers=key))[1]["session_id"] == first
    _, other = await shop.post("checkout/create", order, headers={"Idempotency-Key": "k-2"})
    assert other["session_id"] != first


async def test_idempotency_key_with_another_body_is_refused(shop: Shop) -> None:
    """A key that was sent with another body is refused, also when both come at the same moment on two writers."""
    shop.standin.outage.begin(OutageMode.SLOW, delay=0.1)  # so that all of them look before any records
    key = {"Idempotency-Key": "k-1"}
    orders = [shop.order("once", user="ann"), shop.order("once", user="bob")]
    answers = await both(
        *(shop.post("checkout/create", order, writer=n, headers=key) for n, order in enumerate(orders))
    )
    assert sorted(status for status, _ in answers) == [200, 422]
    refused = next(answer for status, answer in answers if status == 422)
    assert refused["code"] == "idempotency_key_reused"
    sessions = (await shop.at_stripe("checkout/sessions"))["data"]
    assert [session["status"] for session in sessions].count("open") == 1


async def test_deleted_customer_is_replaced(shop: Shop) -> None:
    """A customer that was deleted at Stripe, unknown to us, is replaced by a new one."""
    first = await shop.at_stripe(f"checkout/sessions/{await shop.checkout('once')}")
    async with shop.clients[0].session.delete(
        f"{shop.standin.url}/v1/customers/{first['customer']}", headers={"Authorization": "Bearer sk_test_sandbox"}
    ) as response:
        assert response.status == 200
    second = await shop.at_stripe(f"checkout/sessions/{await shop.checkout('team')}")
    assert second["customer"] != first["customer"]


async def test_customer_known_from_an_event_is_taken(shop: Shop) -> None:
    """A customer of this user that an event told of before is taken, not doubled."""
    form = {"metadata[user_id]": "ann", "metadata[project_id]": "notes"}
    made = await shop.at_stripe("customers", form)
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO users (project_id, user_id) SELECT id, 'ann' FROM projects WHERE public_id = 'notes'"
        )
        await connection.exec_driver_sql(
            f"INSERT INTO stripe_customers (id, user_ref, livemode) SELECT '{made['id']}', id, false FROM users"
        )
    session = await shop.at_stripe(f"checkout/sessions/{await shop.checkout()}")
    assert session["customer"] == made["id"]


_PURCHASE_OF_ANOTHER = """
WITH theirs AS (
    INSERT INTO purchases (id, customer_id, mode, payment_status, amount_total, currency, completed_at, livemode)
    VALUES ('cs_theirs', '{customer}', 'payment', 'paid', 900, 'eur', now(), false) RETURNING id)
INSERT INTO purchase_lines (id, purchase_id, price_id, product_id, quantity, amount_total)
SELECT 'li_theirs', id, 'price_theirs', 'prod_theirs', 1, 900 FROM theirs
"""


async def test_customer_that_once_paid_for_another_is_not_taken(shop: Shop) -> None:
    """A one-time purchase in another app is in the same portal as a plan: the user gets a customer of their own."""
    made = await shop.at_stripe("customers", {"metadata[user_id]": "ann", "metadata[project_id]": "notes"})
    async with shop.engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO users (project_id, user_id) SELECT id, 'ann' FROM projects WHERE public_id = 'notes'"
        )
        await connection.exec_driver_sql(
            f"INSERT INTO stripe_customers (id, user_ref, livemode) SELECT '{made['id']}', id, false FROM users"
        )
        await connection.exec_driver_sql(_PURCHASE_OF_ANOTHER.format(customer=made["id"]))
    session = await shop.at_stripe(f"checkout/sessions/{await shop.checkout()}")
    assert session["customer"] != made["id"]


async def test_price_that_the_mirror_does_not_know_is_fetched(shop: Shop) -> None:
    """A price made a moment ago is sold before its event arrives."""
    assert (await shop.post("checkout/create", shop.order(await shop.price("notes"))))[0] == 200


async def test_prices_that_may_not_be_sold(shop: Shop) -> None:
    """A price of another project, of none, archived or unknown is refused, each with its own code."""
    archived = await shop.price("notes")
    await shop.at_stripe(f"prices/{archived}", {"active": "false"})
    for price, expected in (
        (await shop.price("maps"), (409, "price_of_another_project")),
        (await shop.price(None), (404, "unknown_price")),
        (archived, (409, "price_inactive")),
        ("price_none", (404, "unknown_price")),
        ("..", (404, "unknown_price")),
    ):
        status, answer = await shop.post("checkout/create", shop.order(price))
        assert (status, answer["code"]) == expected


async def test_price_that_was_archived_a_moment_ago(shop: Shop) -> None:
    """The mirror still holds it for active, and Stripe refuses it: the refusal has the same name."""
    await shop.at_stripe(f"prices/{shop.prices['team']}", {"active": "false"})
    status, answer = await shop.post("checkout/create", shop.order(shop.prices["team"]))
    assert (status, answer["code"]) == (409, "price_inactive")


BAD_ORDERS = (
    ({"user_id": ""}, "user_required"),
    ({"user_id": "a\nb"}, "invalid_user"),
    ({"user_id": 7}, "invalid_body"),
    ({"price_id": ""}, "invalid_body"),
    ({"price_id": "a/b"}, "invalid_body"),
    ({"quantity": 0}, "invalid_body"),
    ({"quantity": 1.5}, "invalid_body"),
    ({"trial_days": 0}, "invalid_body"),
    ({"trial_days": 731}, "invalid_body"),
    ({"email": "nobody"}, "invalid_body"),
    ({"email": "a@b.c\n"}, "invalid_body"),
    ({"trail_days": 7}, "invalid_body"),
    ({"success_url": "https://evil.example.com/"}, "return_host_not_allowed"),
    ({"cancel_url": "/plans"}, "invalid_return_url"),
)


@pytest.mark.parametrize(("change", "code"), BAD_ORDERS)
async def test_bad_order_is_refused(shop: Shop, change: dict[str, object], code: str) -> None:
    """A wrong field is refused with 400 and a code, and nothing is opened at Stripe."""
    status, answer = await shop.post("checkout/create", shop.order() | change)
    assert (status, answer["code"]) == (400, code)
    assert (await shop.at_stripe("checkout/sessions"))["data"] == []


async def test_trial_of_a_one_time_price_is_refused(shop: Shop) -> None:
    """Only what repeats can have a trial."""
    status, answer = await shop.post("checkout/create", shop.order("once", trial_days=7))
    assert (status, answer["code"]) == (400, "trial_not_possible")


async def test_metered_price_is_sold_without_a_quantity(shop: Shop) -> None:
    """What is paid by use has no quantity: the checkout is opened once, and another quantity than 1 is refused."""
    by_use = {"recurring[usage_type]": "metered", "recurring[meter]": "mtr_1"}
    price = await shop.price("notes", product=shop.prices["Team"], more=by_use)
    session = await shop.checkout(price)
    assert await shop.checkout(price) == session
    await shop.pay(session)
    status, answer = await shop.post("checkout/confirm", {"session_id": session})
    assert (status, [row["feature_code"] for row in answer["entitlements"]]) == (200, ["seats"])
    status, answer = await shop.post("checkout/create", shop.order(price, "bob", quantity=3))
    assert (status, answer["code"]) == (400, "quantity_not_possible")


async def test_key_and_project_are_checked(shop: Shop) -> None:
    """No key is 401, another project's name 403, a useless Idempotency-Key 400."""
    async with shop.clients[0].post("/api/v1/checkout/create", json=shop.order()) as response:
        assert (response.status, (await response.json())["code"]) == (401, "missing_key")
    status, answer = await shop.post("checkout/create", shop.order(project_id="maps"))
    assert (status, answer["code"]) == (403, "wrong_project")
    status, answer = await shop.post("checkout/create", shop.order(), headers={"Idempotency-Key": "a b"})
    assert (status, answer["code"]) == (400, "invalid_idempotency_key")


@pytest.mark.parametrize("mode", [OutageMode.DOWN, OutageMode.RATE_LIMIT, OutageMode.SLOW, OutageMode.CUT])
async def test_stripe_that_fails_is_503_and_the_retry_succeeds(shop: Shop, mode: OutageMode) -> None:
    """Stripe being down, limiting, slow or cut off is answered 503 with Retry-After; then one session opens."""
    shop.standin.outage.begin(mode, delay=2)
    response = await shop.respond("checkout/create", shop.order())
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert (await response.json())["code"] == "stripe_unavailable"
    shop.standin.outage.begin(OutageMode.NONE)
    await shop.checkout()
    sessions = await shop.at_stripe("checkout/sessions")
    assert len(sessions["data"]) == 1


async def test_short_fault_is_passed_over(shop: Shop) -> None:
    """One failed try of Stripe is not seen by the payer."""
    shop.standin.outage.begin(OutageMode.CUT, requests=1)
    await shop.checkout()


async def test_no_transaction_is_open_while_stripe_is_asked(shop: Shop) -> None:
    """While Stripe keeps a checkout waiting, no connection of the database is in a transaction."""
    shop.standin.outage.begin(OutageMode.SLOW, delay=0.2)
    waiting = asyncio.create_task(shop.checkout())
    asked = len(shop.standin.requests)
    while len(shop.standin.requests) == asked:  # noqa: ASYNC110 - the stand-in has no event for it
        await asyncio.sleep(0.005)
    states = await shop.rows(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND state LIKE 'idle in transaction%'"
    )
    await waiting
    assert states == []
