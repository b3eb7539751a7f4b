"""Whatever an event did not bring, a run finds on Stripe's lists and makes right; and it says what it found."""

from typing import Any

import pytest

from tests.support.reconciling import Office, counts, found, recomputed
from tests.support.stripe_standin import DAY
from tests.support.town import owned
from writer.gateway.stripe_lists import Listing, Page, StripeLists

LISTS = {
    "GET /v1/products", "GET /v1/prices", "GET /v1/subscriptions", "GET /v1/invoices", "GET /v1/checkout/sessions",
    "GET /v1/refunds", "GET /v1/disputes", "GET /v1/products/{}/features",
}  # fmt: skip


async def test_what_agrees_is_left_alone_and_costs_its_lists_only(office: Office) -> None:
    """Nothing is found, nothing is fetched one by one, and no document gets a new revision."""
    town = office.town
    pro, life = await town.price("export"), await town.price("archive", None)
    for user in ("ada", "bob"):
        await town.subscribed(pro, user=user)
        session = await town.shop.bought(life, mode="payment", metadata=owned(user))
    await town.client.refunds.create_async({"payment_intent": session.payment_intent, "amount": 1})
    await town.settled()
    before, asked = await revision(office), office.asked()
    for full in (False, True):
        town.wait(60)
        report = await office.reconciled(full=full)
        assert report["findings"] == []
        assert counts(report) == {}
        assert report["checked"] >= 10
        assert report["state"] == "finished"
    assert await revision(office) == before
    assert {path for path in office.asked() - asked if path.startswith("GET")} <= LISTS | {"GET /v1/customers"}


async def test_a_subscription_that_ended_unheard(office: Office) -> None:
    """It is on no list of what is open; looked up, it ends here too."""
    price = await office.town.price("export")
    gone = await office.town.subscribed(price)
    await office.miss()
    await office.town.client.subscriptions.cancel_async(gone.id)
    office.town.wait(60)
    report = await office.reconciled()
    assert counts(report) == {"repaired": 1}
    assert found(report, "repaired")[gone.id]["status"] == ["active", "canceled"]
    assert not (await office.town.judged("export", office.town.now + 1)).allowed
    assert counts(await office.reconciled()) == {}


async def test_a_subscription_that_changed_unheard(office: Office) -> None:
    """Another price and quantity are in the report, and the new price's features in the document."""
    town = office.town
    cheap, dear = await town.price("export"), await town.price("archive")
    bought = await town.subscribed(cheap)
    item = bought["items"].data[0].id
    await office.miss()
    await town.change(bought, items=[{"id": item, "price": dear.id, "quantity": 3}])
    report = await office.reconciled()
    assert found(report, "repaired")[bought.id][f"{item}.price_id"] == [cheap.id, dear.id]
    assert found(report, "repaired")[bought.id][f"{item}.quantity"] == [1, 3]
    assert await town.features() == ["archive"]
    assert counts(await office.reconciled()) == {}


async def test_what_changed_while_it_was_compared_is_no_drift(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that overtakes the page is newer than the page: nothing is taken back, and nothing is reported."""
    town = office.town
    cheap, dear = await town.price("export"), await town.price("archive")
    bought = await town.subscribed(cheap)
    await town.settled()
    town.wait(60)
    whole = StripeLists.page

    async def page(self: StripeLists, listing: Listing, **options: Any) -> Page:
        found = await whole(self, listing, **options)
        if listing is Listing.OPEN_SUBSCRIPTIONS:
            await town.change(bought, items=[{"id": bought["items"].data[0].id, "price": dear.id}])
            await town.settled()
        return found

    monkeypatch.setattr(StripeLists, "page", page)
    report = await office.reconciled()
    assert report["findings"] == []
    assert counts(report) == {}
    assert await town.features() == ["archive"]


async def test_an_event_that_waits_is_no_drift(office: Office) -> None:
    """What the inbox is about to bring is left to it."""
    town = office.town
    bought = await town.subscribed(await town.price("export"))
    await town.settled()
    await town.ingest.query(
        "UPDATE webhook_events SET status = 'pending', received_at = now(), claimed_until = now() + interval '1 h' "
        "WHERE object_id = :id",
        id=bought.id,
    )
    await town.ingest.query("UPDATE subscriptions SET status = 'unpaid'")
    town.wait(60)
    assert counts(await office.reconciled()) == {}
    await town.ingest.query("UPDATE webhook_events SET attempts = 3 WHERE status = 'pending'")
    assert found(await office.reconciled(), "repaired").keys() == {bought.id}


async def test_a_renewal_that_was_not_heard_of(office: Office) -> None:
    """The period's end moves on with Stripe's."""
    town = office.town
    bought = await town.subscribed(await town.price("export"))
    await office.miss()
    town.wait(31 * DAY)
    report = await office.reconciled()
    assert list(found(report, "repaired")) == [bought.id]
    assert [one[:3] for one in found(report, "unknown_here")] == ["in_"]
    assert await town.allowed("export", town.now + 20 * DAY) == [True]


async def test_a_subscription_that_was_never_heard_of(office: Office) -> None:
    """It is unknown here, and its user has it afterwards; so has the one whom only the session names."""
    town = office.town
    price = await town.price("export")
    await office.miss()
    bought = await town.subscribed(price)
    named = await town.shop.subscribed(price, client_reference_id="bob")
    report = await office.reconciled()
    assert {bought.id, named.id} <= found(report, "unknown_here").keys()
    assert await town.features() == await town.features("bob") == ["export"]
    assert counts(await office.reconciled()) == {}


async def test_rows_that_somebody_spoiled(office: Office) -> None:
    """What was changed by hand in the database is as Stripe has it again, whichever column or row it was."""
    town = office.town
    bought = [await town.subscribed(await town.price("export"), user=user) for user in ("a", "b", "c")]
    await town.settled()
    town.wait(60)
    await town.ingest.query("UPDATE subscriptions SET status = 'unpaid' WHERE id = :id", id=bought[0].id)
    await town.ingest.query("DELETE FROM subscription_items WHERE subscription_id = :id", id=bought[1].id)
    await town.ingest.query("DELETE FROM subscriptions WHERE id = :id", id=bought[2].id)
    report = await office.reconciled()
    assert found(report, "repaired").keys() == {bought[0].id, bought[1].id}
    assert found(report, "unknown_here").keys() == {bought[2].id}
    rows = await town.ingest.query("SELECT s.status, i.user_ref FROM subscriptions s JOIN subscription_items i "
                                   "ON i.subscription_id = s.id")  # fmt: skip
    assert [(row.status, row.user_ref is not None) for row in rows] == [("active", True)] * 3


async def test_purchases_refunds_and_disputes_unheard(office: Office) -> None:
    """A purchase is granted; one that was given back whole, or lost to the bank, is taken away."""
    town = office.town
    price = await town.price("archive", None)
    sessions = [await town.shop.bought(price, mode="payment", metadata=owned(user)) for user in ("ann", "bob")]
    await office.miss()
    new = await town.shop.bought(price, mode="payment", metadata=owned("cy"))
    refund = await town.client.refunds.create_async({"payment_intent": sessions[0].payment_intent})
    dispute = await town.shop.control("disputes", payment_intent=sessions[1].payment_intent)
    await town.shop.control(f"disputes/{dispute['id']}", status="lost")
    report = await office.reconciled()
    assert found(report, "unknown_here").keys() == {new.id, refund.id, dispute["id"]}
    assert [await town.features(user) for user in ("ann", "bob", "cy")] == [[], [], ["archive"]]
    assert counts(await office.reconciled()) == {}


async def test_money_that_came_unheard(office: Office) -> None:
    """A purchase whose payment was on its way is looked up, also when its session is too old to be listed."""
    town = office.town
    price = await town.price("archive", None)
    session = await town.shop.session(price, mode="payment", metadata=owned())
    await town.shop.control(f"pay/{session.id}", outcome="pay_async")
    assert await town.features() == []
    await office.reconciled()
    await town.ingest.query("UPDATE reconcile_runs SET created_at = now() + interval '10 days'")
    await office.miss()
    await town.shop.control(f"pay/{session.id}", outcome="async_succeed")
    town.wait(60)
    report = await office.reconciled()
    assert found(report, "repaired")[session.id]["payment_status"] == ["unpaid", "paid"]
    assert await town.features() == ["archive"]


async def test_invoices_that_begin_and_end_past_due_grace(office: Office) -> None:
    """An open invoice that was paid, and one that was never heard of, are as Stripe has them."""
    town = office.town
    price = await town.price("export")
    customer = await town.customer()
    bought = await town.subscription(price, customer=customer)
    await town.charges(customer.id, "fail")
    town.wait(32 * DAY)
    assert (await town.answer("export")).allowed
    await office.miss()
    await town.charges(customer.id, "succeed")
    owed = (await town.stripes(bought)).latest_invoice
    await town.client.invoices.pay_async(owed)
    town.wait(60)
    report = await office.reconciled()
    assert found(report, "repaired")[owed]["status"] == ["open", "paid"]
    assert found(report, "repaired")[bought.id]["status"] == ["past_due", "active"]
    await town.charges(customer.id, "fail")
    town.wait(31 * DAY)
    await office.reconciled()
    rows = await town.ingest.query("SELECT id FROM invoices WHERE status = 'open'")
    assert [row.id for row in rows] == [(await town.stripes(bought)).latest_invoice]


async def test_an_old_invoice_that_was_paid_unheard(office: Office) -> None:
    """What is held as open is looked up one by one where no list shows it any more: neither open, nor new enough."""
    town = office.town
    customer = await town.customer()
    bought = await town.subscription(await town.price("export"), customer=customer)
    await town.charges(customer.id, "fail")
    town.wait(32 * DAY)
    await office.miss()
    await town.charges(customer.id, "succeed")
    owed = (await town.stripes(bought)).latest_invoice
    await town.client.invoices.pay_async(owed)
    town.wait(60)
    # A run since then: the list of what is over begins behind the invoice.
    await town.ingest.query(
        "INSERT INTO reconcile_runs (kind, cause, stage, created_at, finished_at) "
        "VALUES ('reconcile', 'last', 'documents', now() + interval '60 days', now())"
    )
    report = await office.reconciled()
    assert found(report, "repaired")[owed]["status"] == ["open", "paid"]


async def test_products_and_prices_edited_unheard(office: Office) -> None:
    """Features that a price's metadata names now are in force, and a deleted product is sold no more."""
    town = office.town
    price = await town.price("export")
    unsold = await town.client.products.create_async({"name": "Draft", "metadata": {"project_id": "shop"}})
    await town.subscribed(price)
    await office.miss()
    await town.client.prices.update_async(price.id, {"metadata": {"feature_codes": "archive"}})
    await town.client.products.delete_async(unsold.id)
    town.wait(60)
    report = await office.reconciled()
    assert found(report, "repaired") == {price.id: {"metadata": None}, unsold.id: {"deleted": [False, True]}}
    (row,) = await town.ingest.query("SELECT active FROM products WHERE id = :id", id=unsold.id)
    assert row.active is False
    await recomputed(office)
    assert await town.features() == ["archive"]


async def revision(office: Office) -> Any:
    """How many revisions the project has given."""
    return (await office.town.ingest.query("SELECT revision FROM projects"))[0].revision
