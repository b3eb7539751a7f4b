"""A Stripe account is prepared once and examined at will, and each fault says how to mend it."""

from typing import Any

import psycopg
import pytest

from tests.integration.takeover.conftest import Takeover
from writer.domain.stripe.kinds import KIND_OF_TYPE
from writer.gateway.transport import API_VERSION

URL = "https://billing.example.com/api/v1/webhooks/stripe"


async def _endpoints(takeover: Takeover) -> list[Any]:
    listed = await takeover.shop.client.v1.webhook_endpoints.list_async({"limit": 100})
    return [one for one in listed.data if one.url.startswith("https://")]


async def _doctor(takeover: Takeover, exit_code: int = 0, **environment: str) -> dict[str, list[Any]]:
    told = await takeover.json("stripe", "doctor", exit_code=exit_code, **environment)
    assert told["ok"] == (exit_code == 0)
    found: dict[str, list[Any]] = {}
    for one in told["findings"]:
        found.setdefault(one["check"], []).append(one)
        assert (one["mend"] is None) == (one["level"] == "ok")
    return found


def _levels(found: dict[str, list[Any]]) -> dict[str, list[str]]:
    return {name: [one["level"] for one in several] for name, several in found.items()}


async def test_setup_makes_the_endpoint_once(takeover: Takeover) -> None:
    """With exactly our events and our version; the secret is told by the run that makes it, and by no other."""
    made = await takeover.json("stripe", "setup", "--url", URL)
    assert (made["done"], made["api_version"], made["portal_created"]) == ("created", API_VERSION, True)
    assert made["secret"].startswith("whsec_")
    (endpoint,) = await _endpoints(takeover)
    assert sorted(endpoint.enabled_events) == sorted(KIND_OF_TYPE)
    again = await takeover.json(
        "stripe", "setup", "--url", URL.upper().replace("/API/V1/WEBHOOKS/STRIPE", "") + URL[27:]
    )
    assert (again["done"], again["secret"], again["portal_created"]) == ("unchanged", None, False)
    assert len(await _endpoints(takeover)) == 1


async def test_setup_mends_an_endpoint(takeover: Takeover) -> None:
    """Missing events are added, superfluous ones taken away, and one that was disabled is enabled."""
    endpoint = await takeover.shop.client.v1.webhook_endpoints.create_async(
        {"url": URL, "enabled_events": ["invoice.paid", "charge.succeeded"], "api_version": API_VERSION}
    )
    await takeover.shop.client.v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    mended = await takeover.json("stripe", "setup", "--url", URL)
    assert (mended["done"], mended["removed"], mended["secret"]) == ("updated", ["charge.succeeded"], None)
    assert "invoice.paid" not in mended["added"]
    (now,) = await _endpoints(takeover)
    assert (now.id, now.status, sorted(now.enabled_events)) == (endpoint.id, "enabled", sorted(KIND_OF_TYPE))
    await takeover.shop.client.v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    assert (await takeover.json("stripe", "setup", "--url", URL))["done"] == "updated"
    assert [one.status for one in await _endpoints(takeover)] == ["enabled"]


async def test_setup_replaces_an_endpoint_of_another_version_when_told(takeover: Takeover) -> None:
    """A version cannot be changed: that is said; with --replace there is one new endpoint, with a new secret."""
    old = await takeover.shop.client.v1.webhook_endpoints.create_async(
        {"url": URL, "enabled_events": ["*"], "api_version": "2022-11-15"}
    )
    said = await takeover.run("stripe", "setup", "--url", URL)
    assert (said.exit_code, "cannot be changed: --replace" in said.stderr, said.stdout) == (0, True, "")
    replaced = await takeover.json("stripe", "setup", "--url", URL, "--replace")
    assert (replaced["done"], replaced["version_differs"]) == ("replaced", False)
    (now,) = await _endpoints(takeover)
    assert now.id != old.id


@pytest.mark.parametrize(
    "url", ["billing.example.com", "ftp://x/api/v1/webhooks/stripe", "https://x.example.com/hooks", f"{URL}?a=1"]
)
async def test_setup_refuses_what_is_no_webhook_of_ours(takeover: Takeover, url: str) -> None:
    """And makes nothing."""
    refused = await takeover.run("stripe", "setup", "--url", url)
    assert (refused.exit_code, "/api/v1/webhooks/stripe" in refused.stderr) == (1, True)
    assert await _endpoints(takeover) == []


async def test_setup_leaves_the_choice_where_two_have_the_url(takeover: Takeover) -> None:
    """Which of them to keep is not guessed."""
    for _ in range(2):
        await takeover.shop.client.v1.webhook_endpoints.create_async({"url": URL, "enabled_events": ["*"]})
    refused = await takeover.run("stripe", "setup", "--url", URL)
    assert (refused.exit_code, "delete all but one" in refused.stderr) == (1, True)


async def test_the_doctor_finds_nothing_wrong_after_setup(takeover: Takeover) -> None:
    """Key, permissions, endpoint, portal, clocks and catalogues: all ok, and nothing was written."""
    await takeover.json("stripe", "setup", "--url", URL)
    before = len(list(takeover.shop.standin.store.all("event")))
    found = await _doctor(takeover)
    assert set(_levels(found).pop("portal")) <= {"ok", "warn"}
    assert {name for name, levels in _levels(found).items() if levels != ["ok"]} <= {"portal"}
    assert {"key", "permissions", "endpoint", "clock at Stripe", "clock of the database", "catalogue"} <= set(found)
    assert len(list(takeover.shop.standin.store.all("event"))) == before
    shown = await takeover.run("stripe", "doctor")
    assert "ok    permissions: the key may read and write all that is needed" in shown.stdout


async def test_the_doctor_names_what_a_restricted_key_lacks(takeover: Takeover) -> None:
    """What payers need fails; what only a command needs is a warning. Nothing was written to find out."""
    await takeover.json("stripe", "setup", "--url", URL)
    found = await _doctor(takeover, exit_code=1, STRIPE_SECRET_KEY="rk_test_readonly")
    lacking = {one["what"]: one["level"] for one in found["permissions"]}
    assert lacking["the key may not write Customers"] == "fail"
    assert lacking["the key may not write Prices"] == "warn"
    mends = {one["what"]: one["mend"] for one in found["permissions"]}
    assert mends["the key may not write Customers"] == "give the restricted key Write on Customers (rak_customer_write)"
    blind = await _doctor(takeover, STRIPE_SECRET_KEY="rk_test_no_entitlements")
    (features,) = blind["permissions"]
    assert (features["level"], "Read on Entitlements (rak_entitlement_read)" in features["mend"]) == ("warn", True)
    refused = await _doctor(takeover, exit_code=1, STRIPE_SECRET_KEY="sk_test_rolled")
    assert (_levels(refused)["key"], "permissions" in refused, "parked events" in refused) == (["fail"], False, True)


async def test_the_doctor_looks_at_the_rest_where_stripe_is_away(takeover: Takeover) -> None:
    """That Stripe cannot be asked is a finding, with the reason; what is held is looked at all the same."""
    found = await _doctor(takeover, exit_code=1, STRIPE_API_BASE="http://127.0.0.1:9")
    (stripe,) = found["Stripe"]
    assert (stripe["level"], "it cannot be asked: no answer" in stripe["what"]) == ("fail", True)
    assert _levels(found)["parked events"] == ["ok"]


async def test_a_key_that_is_not_taken_is_told_in_words(takeover: Takeover) -> None:
    """A rolled key is not told as an outage that passes."""
    told = await takeover.run("stripe", "setup", "--url", URL, STRIPE_SECRET_KEY="sk_test_rolled")
    assert (told.exit_code, "refuses STRIPE_SECRET_KEY" in told.stderr, "try again" in told.stderr) == (1, True, False)


async def test_the_doctor_says_what_is_wrong_with_an_endpoint(takeover: Takeover) -> None:
    """None, one that lacks events, one that is disabled, one of another version; polling needs none."""
    assert _levels(await _doctor(takeover, exit_code=1))["endpoint"] == ["fail"]
    assert _levels(await _doctor(takeover, exit_code=1, STRIPE_POLL="2s"))["endpoint"] == ["ok"]
    endpoint = await takeover.shop.client.v1.webhook_endpoints.create_async(
        {"url": URL, "enabled_events": ["invoice.paid", "charge.succeeded"], "api_version": "2022-11-15"}
    )
    found = await _doctor(takeover, exit_code=1)
    assert sorted(one["level"] for one in found["events"]) == ["fail", "warn"]
    assert (_levels(found)["api version"], "--replace" in found["api version"][0]["mend"]) == (["warn"], True)
    await takeover.shop.client.v1.webhook_endpoints.update_async(endpoint.id, {"disabled": True})
    assert "disabled" in (await _doctor(takeover, exit_code=1))["endpoint"][0]["what"]


async def test_the_doctor_looks_at_what_is_held(takeover: Takeover) -> None:
    """Prices without features, features without prices, another mode's objects, what was given up, what is nobody's."""
    await takeover.json("stripe", "setup", "--url", URL)
    await takeover.json("project", "create", "shop")
    catalogue = "version: 1\nprojects: {shop: {features: {pro: {}, idle: {}}, plans: {prod_1: {features: [pro]}}}}"
    await takeover.json("catalog", "apply", "-", "--yes", stdin=catalogue)
    product = await takeover.shop.client.v1.products.create_async({"name": "Dull", "metadata": {"project_id": "shop"}})
    price = await takeover.shop.client.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 100}
    )
    await takeover.json("catalog", "sync")
    _insert(takeover.database_url)
    found = await _doctor(takeover, exit_code=1)
    assert price.id in found["prices"][0]["what"]
    assert "1 open subscriptions have the price price_x" in found["prices"][1]["what"]
    assert "nothing grants idle" in found["features"][0]["what"]
    assert {name: _levels(found)[name] for name in ("mode", "unassigned", "parked events")} == {
        "mode": ["warn"], "unassigned": ["warn"], "parked events": ["fail"],
    }  # fmt: skip


def _insert(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("""
            INSERT INTO subscriptions (id, customer_id, status, started_at, cancel_at_period_end, collection_method,
                livemode, unassigned_reason)
            VALUES ('sub_x', 'cus_x', 'active', now(), false, 'charge_automatically', true, 'no user is known for it')
        """)
        connection.execute("""
            INSERT INTO subscription_items
                (id, subscription_id, price_id, product_id, quantity, period_start, period_end)
            VALUES ('si_x', 'sub_x', 'price_x', 'prod_x', 1, now(), now())
        """)
        connection.execute("""
            INSERT INTO webhook_events (id, type, created, livemode, origin, payload, status)
            VALUES ('evt_x', 'x', now(), false, 'webhook', '{}', 'parked')
        """)


async def test_the_doctor_tells_how_the_newest_event_came(takeover: Takeover) -> None:
    """Never: fail; only by the sweep: webhooks do not get here, as with a wrong secret; by webhook: well."""
    await takeover.json("stripe", "setup", "--url", URL)
    await takeover.shop.price()
    await takeover.shop.settled()
    for event in takeover.shop.standin.store.all("event"):
        event |= {"created": event["created"] - 3_600, "pending_webhooks": 1}
    found = await _doctor(takeover, exit_code=1)
    assert (_levels(found)["arrival"], "never arrived" in found["arrival"][0]["what"]) == (["fail"], True)
    assert "not taken by every endpoint" in found["deliveries"][0]["what"]
    newest = max(takeover.shop.standin.store.all("event"), key=lambda one: one["type"] == "price.created")
    assert newest["id"] in found["arrival"][0]["what"]
    for origin, level in (("sweep", "warn"), ("webhook", "ok")):
        _arrive(takeover.database_url, newest["id"], origin)
        assert _levels(await _doctor(takeover))["arrival"] == [level]


def _arrive(url: str, event_id: str, origin: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            INSERT INTO webhook_events (id, type, created, livemode, origin, payload, status)
            VALUES (%s, 'price.created', now(), false, %s, '{}', 'applied')
            ON CONFLICT (id) DO UPDATE SET origin = EXCLUDED.origin
            """,
            (event_id, origin),
        )
