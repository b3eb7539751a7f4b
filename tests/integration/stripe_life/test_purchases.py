"""What is bought once: by whom it is paid, when, and what becomes of it when money goes back."""

from typing import Any

import pytest

from tests.support.stripe_standin import DAY
from tests.support.town import Town, owned


async def bought(town: Town, *features: str, **extra: Any) -> Any:
    """A session of one-time prices that was paid; each grants a feature for life."""
    prices = [await town.price(feature, None) for feature in features]
    return await town.shop.bought(*prices, mode="payment", metadata=owned(), **extra)


async def test_several_lines(town: Town) -> None:
    """Every line grants, for life."""
    await bought(town, "archive", "export", "import")
    assert await town.ends() == {"archive": None, "export": None, "import": None}


async def test_more_lines_than_an_object_shows(town: Town) -> None:
    """Of twelve lines all are read, although Stripe's objects show only the first ten."""
    names = [f"part_{number:02}" for number in range(12)]
    await bought(town, *names)
    assert await town.features() == names


async def test_a_limited_time(town: Town) -> None:
    """`grant_days` counts from the payment."""
    price = await town.shop.price(
        interval=None, metadata={"project_id": "shop", "feature_codes": "archive", "grant_days": "30"}
    )
    await town.shop.bought(price, mode="payment", metadata=owned())
    end = (await town.ends())["archive"]
    assert end is not None
    assert abs(end - town.now - 30 * DAY) < DAY
    assert await town.allowed("archive", end - 1, end) == [True, False]


async def test_one_time_lines_beside_a_subscription(town: Town) -> None:
    """The one-time line is for life; the recurring one is the subscription's, and ends with it."""
    once, monthly = await town.price("archive", None), await town.price("export")
    subscription = await town.shop.subscribed(monthly, once, metadata=owned(), subscription_data={"metadata": owned()})
    assert (await town.ends())["archive"] is None
    town.wait(DAY)
    ended = await town.client.subscriptions.cancel_async(subscription.id)
    assert await town.ends() == {"archive": None, "export": ended.ended_at}


@pytest.mark.parametrize("mode", ["payment", "subscription"])
async def test_a_coupon_for_all_of_it(town: Town, mode: str) -> None:
    """With nothing to pay, a purchase grants for life and a subscription its period."""
    coupon = await town.client.coupons.create_async({"percent_off": 100, "duration": "forever"})
    price = await town.price("archive", "month" if mode == "subscription" else None)
    data: Any = {"subscription_data": {"metadata": owned()}} if mode == "subscription" else {}
    session = await town.shop.bought(price, mode=mode, metadata=owned(), discounts=[{"coupon": coupon.id}], **data)
    assert session.payment_status == "no_payment_required"
    assert ((await town.ends())["archive"] is None) is (mode == "payment")


async def test_a_one_time_line_beside_a_subscription_that_is_not_paid_yet(town: Town) -> None:
    """Beside a subscription nothing to pay means nothing to pay now: the plan begins, the one-time line does not."""
    coupon = await town.client.coupons.create_async({"percent_off": 100, "duration": "forever"})
    once, monthly = await town.price("archive", None), await town.price("export")
    owner = {"metadata": owned(), "subscription_data": {"metadata": owned()}}
    session = await town.shop.bought(monthly, once, discounts=[{"coupon": coupon.id}], **owner)
    assert (session.mode, session.payment_status) == ("subscription", "no_payment_required")
    assert await town.features() == ["export"]


async def test_a_limited_time_of_money_that_takes_days(town: Town) -> None:
    """`grant_days` count from the moment that the customer confirmed, the only one that Stripe's objects tell."""
    metadata = {"project_id": "shop", "feature_codes": "archive", "grant_days": "30"}
    price = await town.shop.price(interval=None, metadata=metadata)
    session = await town.shop.session(price, mode="payment", metadata=owned(), payment_method_types=["sepa_debit"])
    town.wait(3600)
    await town.shop.control(f"pay/{session.id}", outcome="pay_async")
    confirmed = town.now
    town.wait(4 * DAY)
    await town.shop.control(f"pay/{session.id}", outcome="async_succeed")
    end = (await town.ends())["archive"]
    assert end is not None
    assert abs(end - confirmed - 30 * DAY) < 60


@pytest.mark.parametrize(("outcome", "features"), [("async_succeed", ["archive"]), ("async_fail", [])])
async def test_money_that_takes_days(town: Town, outcome: str, features: list[str]) -> None:
    """Complete but unpaid grants nothing; the bank's word days later decides."""
    price = await town.price("archive", None)
    session = await town.shop.session(price, mode="payment", metadata=owned(), payment_method_types=["sepa_debit"])
    await town.shop.control(f"pay/{session.id}", outcome="pay_async")
    assert await town.features() == []
    town.wait(4 * DAY)
    await town.shop.control(f"pay/{session.id}", outcome=outcome)
    assert await town.features() == features


async def test_a_session_that_expires_or_fails(town: Town) -> None:
    """Nothing was paid, nothing is granted."""
    price = await town.price("archive", None)
    for outcome in ("fail", "expire"):
        session = await town.shop.session(price, mode="payment", metadata=owned())
        await town.shop.control(f"pay/{session.id}", outcome=outcome)
    assert await town.features() == []


async def refund(town: Town, session: Any, amount: int | None = None) -> Any:
    """Give money back, all of it where no amount is named."""
    named = {} if amount is None else {"amount": amount}
    return await town.client.refunds.create_async({"payment_intent": session.payment_intent, **named})


async def test_partial_refunds_that_add_up(town: Town) -> None:
    """Parts leave it alone until together they reach what was paid."""
    session = await bought(town, "archive")
    held = []
    for amount in (300, 300, 400):
        await refund(town, session, amount)
        held.append(await town.features())
    assert held == [["archive"], ["archive"], []]


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_refund_that_does_not_come_true(town: Town, status: str) -> None:
    """While it is under way it revokes; failed or cancelled, the purchase grants again."""
    session = await bought(town, "archive")
    await town.shop.control("refunds/next", status="pending")
    made = await refund(town, session)
    assert await town.features() == []
    await town.shop.control(f"refunds/{made.id}", status=status)
    assert await town.features() == ["archive"]


async def test_a_refund_at_once_failed_and_made_again(town: Town) -> None:
    """Of two refunds of the whole amount the failed one does not count."""
    session = await bought(town, "archive")
    await town.shop.control("refunds/next", status="failed")
    await refund(town, session)
    assert await town.features() == ["archive"]
    await refund(town, session)
    assert await town.features() == []


@pytest.mark.parametrize(
    ("opened", "closed", "features"),
    [
        ("needs_response", "won", ["archive"]),
        ("needs_response", "lost", []),
        ("warning_needs_response", "warning_closed", ["archive"]),
    ],
)
async def test_disputes(town: Town, opened: str, closed: str, features: list[str]) -> None:
    """While open it changes nothing; only a lost one revokes."""
    session = await bought(town, "archive")
    dispute = await town.shop.control("disputes", payment_intent=session.payment_intent, status=opened)
    assert await town.features() == ["archive"]
    await town.shop.control(f"disputes/{dispute['id']}", status=closed)
    assert await town.features() == features


@pytest.mark.parametrize(("closed", "features"), [("won", ["archive"]), ("lost", [])])
async def test_a_part_given_back_and_the_rest_disputed(town: Town, closed: str, features: list[str]) -> None:
    """The part alone revokes nothing, nor does a dispute that is won; a lost one does, whatever it was about."""
    session = await bought(town, "archive")
    await refund(town, session, 400)
    dispute = await town.shop.control("disputes", payment_intent=session.payment_intent, amount=600)
    assert await town.features() == ["archive"]
    await town.shop.control(f"disputes/{dispute['id']}", status=closed)
    assert await town.features() == features


async def test_refunds_of_one_payment_leave_the_others(town: Town) -> None:
    """Of two purchases of the same, one is given back: the other still grants, until it is given back too."""
    price = await town.price("archive", None)
    first, second = [await town.shop.bought(price, mode="payment", metadata=owned()) for _ in range(2)]
    await refund(town, first)
    held = [await town.features()]
    await refund(town, second, 500)
    held.append(await town.features())
    await refund(town, second)
    assert [*held, await town.features()] == [["archive"], ["archive"], []]


@pytest.mark.parametrize("kind", ["refund", "dispute"])
async def test_money_that_went_back_before_the_purchase_was_known(town: Town, kind: str) -> None:
    """The purchase's own events come last, and it is revoked all the same."""
    await town.shop.control("faults", fault="drop", types=["checkout.session.completed"])
    session = await bought(town, "archive")
    if kind == "refund":
        await refund(town, session)
    else:
        dispute = await town.shop.control("disputes", payment_intent=session.payment_intent)
        await town.shop.control(f"disputes/{dispute['id']}", status="lost")
    await town.settled()
    events = town.shop.standin.store.where("event", type="checkout.session.completed")
    town.shop.standin.deliveries.resend(events[0]["id"])
    assert await town.features() == []
    rows = await town.ingest.query("SELECT payment_status FROM purchases")
    assert [row.payment_status for row in rows] == ["paid"]


async def test_a_refund_of_an_invoice_in_subscription_mode(town: Town) -> None:
    """Beside a subscription the purchase was paid by the invoice's payment intent: its refund finds it."""
    once, monthly = await town.price("archive", None), await town.price("export")
    session = await town.shop.bought(once, monthly, metadata=owned(), subscription_data={"metadata": owned()})
    invoice = await town.client.invoices.retrieve_async(session.invoice, {"expand": ["payments"]})
    await town.client.refunds.create_async({"payment_intent": invoice.payments.data[0].payment.payment_intent})
    assert await town.features() == ["export"]
