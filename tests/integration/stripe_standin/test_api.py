"""The API as Stripe's SDK meets it: errors, keys, idempotency, lists, expansion, forms."""

from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import stripe

from sandbox.stripe.errors import StripeError
from sandbox.stripe.forms import decode
from sandbox.stripe.server import Options, StripeStandIn
from tests.support.stripe_standin import DAY, KEY, Shop, opened
from tests.support.waiting import until


def basic(key: str) -> dict[str, str]:
    """The key as Basic auth sends it."""
    return {"Authorization": aiohttp.encode_basic_auth(key, "")}


async def test_a_wrong_key_is_refused_and_a_restricted_one_taken(shop: Shop) -> None:
    """401 in Stripe's shape for a missing or wrong key; `rk_test_…` and Basic auth work."""
    url = f"{shop.standin.url}/v1/customers"
    async with shop.http.get(url) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
        await shop.client.v1.customers.list_async({}, {"api_key": "sk_test_wrong"})
    for key in (KEY, "rk_test_1"):
        async with shop.http.get(url, headers=basic(key)) as answer:
            assert answer.status == 200


async def test_errors_have_stripes_shape(shop: Shop) -> None:
    """Unknown objects, missing and malformed parameters, and unknown paths say so as Stripe says it."""
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'") as missing:
        await shop.client.v1.customers.retrieve_async("cus_none")
    assert (missing.value.http_status, missing.value.code, missing.value.param) == (404, "resource_missing", "id")
    with pytest.raises(stripe.InvalidRequestError) as needed:
        await shop.client.v1.prices.create_async({"currency": "usd"})
    assert (needed.value.http_status, needed.value.code) == (400, "parameter_missing")
    with pytest.raises(stripe.InvalidRequestError) as invalid:
        await shop.client.v1.customers.list_async({"limit": 101})
    assert invalid.value.param == "limit"
    async with shop.http.get(f"{shop.standin.url}/v1/nothing", headers=basic(KEY)) as answer:
        assert answer.status == 404
        assert "Unrecognized request URL" in (await answer.json())["error"]["message"]


async def test_answers_carry_the_servers_date_and_an_id(shop: Shop) -> None:
    """`Date` is the moved clock's, to the second."""
    shop.standin.advance(10 * DAY)
    async with shop.http.get(f"{shop.standin.url}/v1/customers", headers=basic(KEY)) as answer:
        told = int(parsedate_to_datetime(answer.headers["Date"]).timestamp())
        assert abs(told - shop.standin.clock.now()) <= 2
        assert answer.headers["Request-Id"].startswith("req_")


async def test_a_declined_card_is_402(shop: Shop) -> None:
    """A payment with a failing test card raises a card error that carries the intent."""
    params = {"amount": 500, "currency": "usd", "confirm": True, "payment_method": "pm_card_chargeDeclined"}
    with pytest.raises(stripe.CardError) as declined:
        await shop.client.v1.payment_intents.create_async(params)  # type: ignore[arg-type]
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")


async def test_an_idempotency_key_replays_its_first_answer(shop: Shop) -> None:
    """Same key and parameters: the same customer and no second event; other parameters: 400."""
    first = await shop.client.v1.customers.create_async({"email": "a@example.com"}, {"idempotency_key": "k"})
    again = await shop.client.v1.customers.create_async({"email": "a@example.com"}, {"idempotency_key": "k"})
    assert first.id == again.id
    assert again.last_response is not None
    assert await shop.settled() == ["customer.created"]
    with pytest.raises(stripe.IdempotencyError) as other:
        await shop.client.v1.customers.create_async({"email": "b@example.com"}, {"idempotency_key": "k"})
    assert other.value.http_status == 400
    assert shop.receiver.events[0]["request"]["idempotency_key"] == "k"


async def test_lists_are_paged_by_cursor(shop: Shop) -> None:
    """Newest first, `has_more` until the end, both directions, and the SDK's auto-paging sees each once."""
    made = [(await shop.client.v1.customers.create_async({"name": str(n)})).id for n in range(25)]
    page = await shop.client.v1.customers.list_async({"limit": 10})
    assert ([one.id for one in page.data], page.has_more) == (made[:14:-1], True)
    last = await shop.client.v1.customers.list_async({"limit": 10, "starting_after": made[5]})
    assert ([one.id for one in last.data], last.has_more) == (made[4::-1], False)
    back = await shop.client.v1.customers.list_async({"limit": 3, "ending_before": made[20]})
    assert ([one.id for one in back.data], back.has_more) == ([made[23], made[22], made[21]], True)
    every = [one.id async for one in page.auto_paging_iter()]
    assert every == made[::-1]


async def test_events_are_filtered_by_type_and_time(shop: Shop) -> None:
    """`type`, `types` and `created[gte]` narrow the list."""
    await shop.price()
    shop.standin.advance(100)
    since = shop.standin.clock.now()
    await shop.client.v1.customers.create_async({})
    events = shop.client.v1.events
    assert [e.type for e in (await events.list_async({"type": "price.*"})).data] == ["price.created"]
    chosen = await events.list_async({"types": ["product.created", "customer.created"]})
    assert [e.type for e in chosen.data] == ["customer.created", "product.created"]
    assert [e.type for e in (await events.list_async({"created": {"gte": since}})).data] == ["customer.created"]


async def test_lists_within_objects_show_ten_and_are_paged(shop: Shop) -> None:
    """A session of twelve lines and its subscription of twelve items show ten; the rest is listed apart."""
    prices = [await shop.price(100 + n) for n in range(12)]
    session = await shop.session(*prices, expand=["line_items"])
    assert (len(session.line_items.data), session.line_items.has_more) == (10, True)
    rest = await shop.client.v1.checkout.sessions.line_items.list_async(
        session.id, {"starting_after": session.line_items.data[-1].id}
    )
    assert (len(rest.data), rest.has_more) == (2, False)
    await shop.control(f"pay/{session.id}")
    subscription = (await shop.client.v1.subscriptions.list_async()).data[0]
    assert (len(subscription["items"].data), subscription["items"].has_more) == (10, True)
    items = await shop.client.v1.subscription_items.list_async({"subscription": subscription.id, "limit": 100})
    assert len(items.data) == 12


async def test_references_are_expanded_on_request(shop: Shop) -> None:
    """Deep paths through lists work; a path to nothing is refused."""
    session = await shop.bought(await shop.price())
    path = "subscription.latest_invoice.payments.data.payment.payment_intent.latest_charge"
    params = {"expand": [path, "customer", "line_items.data.price.product"]}
    found: Any = await shop.client.v1.checkout.sessions.retrieve_async(session.id, params)  # type: ignore[arg-type]
    intent = found.subscription.latest_invoice.payments.data[0].payment.payment_intent
    assert intent.latest_charge.status == "succeeded"
    assert found.line_items.data[0].price.product.name == "Pro"
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await shop.client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["nothing"]})


async def test_a_request_gets_the_shape_of_its_version(shop: Shop) -> None:
    """`Stripe-Version` moves the period to the subscription, and old references can be expanded."""
    session = await shop.bought(await shop.price())
    old = await shop.client.v1.subscriptions.retrieve_async(
        session.subscription, {"expand": ["latest_invoice.payment_intent"]}, {"stripe_version": "2022-11-15"}
    )
    assert old["current_period_end"] > shop.standin.clock.now()
    assert old["latest_invoice"]["payment_intent"]["status"] == "succeeded"


async def test_the_customer_pays_on_a_page(shop: Shop) -> None:
    """The page escapes what it shows, a failing card keeps it open, paying leads back with the session's id."""
    price = await shop.price()
    await shop.client.v1.products.update_async(price.product, {"name": "<b>Pro</b>"})
    session = await shop.session(price, success_url="http://shop.example/ok?s={CHECKOUT_SESSION_ID}")
    async with shop.http.get(session.url) as page:
        text = await page.text()
        assert "&lt;b&gt;Pro&lt;/b&gt;" in text
        assert "<b>Pro" not in text
    async with shop.http.post(session.url, data={"act": "fail"}) as page:
        assert page.status == 402
        assert "declined" in await page.text()
    async with shop.http.post(session.url, data={"act": "pay"}, allow_redirects=False) as page:
        assert (page.status, page.headers["Location"]) == (303, f"http://shop.example/ok?s={session.id}")
    assert "checkout.session.completed" in await shop.settled()
    async with shop.http.get(f"{shop.standin.url}/c/pay/cs_none") as page:
        assert (page.status, page.content_type) == (404, "text/html")


async def test_the_portal_cancels_and_resumes(shop: Shop) -> None:
    """A customer cancels at the period's end, takes it back, and cancels now; nobody else's can be touched."""
    subscription = await shop.subscribed(await shop.price())
    portal = await shop.client.v1.billing_portal.sessions.create_async({"customer": subscription.customer})
    seen = []
    for choice in ("cancel_at_period_end", "resume", "cancel_now"):
        async with shop.http.post(portal.url, data={"subscription": subscription.id, "choice": choice}) as page:
            assert page.status == 200
        now = await shop.client.v1.subscriptions.retrieve_async(subscription.id)
        seen.append((now.status, now.cancel_at_period_end))
    assert seen == [("active", True), ("active", False), ("canceled", False)]
    other = await shop.subscribed(await shop.price())
    async with shop.http.post(portal.url, data={"subscription": other.id, "choice": "cancel_now"}) as page:
        assert page.status == 400


async def test_outages_are_had_on_request(shop: Shop) -> None:
    """503, then 429, then a cut connection for so many requests, then all is well."""
    once: tuple[Any, Any] = ({}, {"max_network_retries": 0})
    await shop.control("outage", mode="down", requests=1)
    with pytest.raises(stripe.APIError):
        await shop.client.v1.customers.list_async(*once)
    await shop.control("outage", mode="rate_limit", requests=1)
    with pytest.raises(stripe.RateLimitError):
        await shop.client.v1.customers.list_async(*once)
    await shop.control("outage", mode="cut", requests=2)  # the client tries a reused connection twice
    with pytest.raises(stripe.APIConnectionError):
        await shop.client.v1.customers.list_async(*once)
    await shop.client.v1.customers.list_async(*once)


async def test_all_is_there_after_a_restart(tmp_path: Path) -> None:
    """Objects, the moved clock, keys and undelivered webhooks survive in the state file."""
    options = Options(state=tmp_path / "stripe.json", retry_scale=1.0, seed="s")
    async with opened(options) as shop:
        subscription = await shop.subscribed(await shop.price())
        shop.standin.advance(5 * DAY)
        await shop.settled()
        shop.receiver.answers = [500]
        customer = await shop.client.v1.customers.create_async({}, {"idempotency_key": "k"})
        moved = shop.standin.clock.now()
        await until(lambda: shop.receiver.answers == [])
    async with opened(options) as shop:
        assert shop.standin.clock.now() >= moved
        again = await shop.client.v1.customers.create_async({}, {"idempotency_key": "k"})
        assert again.id == customer.id
        assert "customer.created" in await shop.settled()
        item = (await shop.client.v1.subscriptions.retrieve_async(subscription.id))["items"].data[0]
        await shop.client.v1.subscription_items.update_async(item.id, {"quantity": 3})
        changed = await shop.client.v1.subscriptions.retrieve_async(subscription.id)
        assert changed["items"].data[0].quantity == 3


async def test_it_may_live_under_a_path() -> None:
    """With a prefix the API, the pages and the links to them are all below it."""
    async with opened(Options(prefix="/stripe", retry_scale=1e-6)) as shop:
        session = await shop.session(await shop.price())
        assert session.url.startswith(shop.standin.url + "/c/pay/")
        async with shop.http.get(session.url) as page:
            assert page.status == 200


async def test_ids_repeat_with_their_seed() -> None:
    """The same seed gives the same ids in the same order."""
    ids = []
    for _ in range(2):
        async with StripeStandIn(Options(seed="seven")) as standin:
            ids.append([standin.store.new_id("cus") for _ in range(3)])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def test_forms_are_decoded_as_stripe_decodes_them() -> None:
    """Hashes, indexed and appended arrays, arrays of hashes, and the empty value that unsets."""
    text = "a=1&m[k]=v&m[e]=&x[]=1&x[]=2&i[0][p]=a&i[0][q]=2&i[1][p]=b&l[][p]=c&l[][q]=3&l[][p]=d"
    assert decode(text) == {
        "a": "1",
        "m": {"k": "v", "e": ""},
        "x": ["1", "2"],
        "i": [{"p": "a", "q": "2"}, {"p": "b"}],
        "l": [{"p": "c", "q": "3"}, {"p": "d"}],
    }
    for wrong in ("a[b=1", "a]=1", "a=1&a[b]=2"):
        with pytest.raises(StripeError):
            decode(wrong)


async def test_unknown_parameters_are_refused(shop: Shop) -> None:
    """A name that Stripe does not know is an error, not silence."""
    unknown: Any = {"colour": "red"}
    with pytest.raises(stripe.InvalidRequestError, match="Received unknown parameter: colour") as refused:
        await shop.client.v1.customers.create_async(unknown)
    assert refused.value.code == "parameter_unknown"


async def test_events_are_listed_for_thirty_days(shop: Shop) -> None:
    """Older ones are gone from the list."""
    await shop.price()
    shop.standin.advance(31 * DAY)
    assert (await shop.client.v1.events.list_async()).data == []


async def test_an_edited_price_shows_in_its_subscriptions(shop: Shop) -> None:
    """Metadata put on a price later is seen in the items that were bought before."""
    price = await shop.price()
    subscription = await shop.subscribed(price)
    await shop.client.v1.prices.update_async(price.id, {"metadata": {"project_id": "p"}})
    now = await shop.client.v1.subscriptions.retrieve_async(subscription.id)
    assert now["items"].data[0].price.metadata["project_id"] == "p"
