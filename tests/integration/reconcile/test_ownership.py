"""Whose things are, what nobody owns or knows, and what follows from a run: found, reported and computed again."""

from tests.support.reconciling import Office, counts, found, recomputed
from tests.support.town import owned


async def test_a_customer_that_names_another_user_now(office: Office) -> None:
    """What it bought moves, though only the customer was edited: it comes along with its subscription."""
    town = office.town
    customer = await town.customer(metadata=owned("ada"))
    price = await town.price("export")
    await town.client.subscriptions.create_async({"customer": customer.id, "items": [{"price": price.id}]})
    assert await town.features("ada") == ["export"]
    await office.miss()
    await town.client.customers.update_async(customer.id, {"metadata": owned("bob")})
    report = await office.reconciled()
    assert found(report, "repaired")[customer.id] == {"user": ["ada", "bob"]}
    assert [await town.features(user) for user in ("ada", "bob")] == [[], ["export"]]


async def test_a_customer_that_was_deleted_unheard(office: Office) -> None:
    """A full run finds that it is gone; a nightly one need not know."""
    town = office.town
    customer = await town.customer(metadata=owned())
    await office.miss()
    await town.client.customers.delete_async(customer.id)
    town.wait(60)
    assert counts(await office.reconciled()) == {}
    assert found(await office.reconciled(full=True), "repaired") == {customer.id: {"deleted": [False, True]}}


async def test_what_stripe_does_not_know_stays(office: Office) -> None:
    """It is reported, and nobody loses it: another account's key must not end what people have."""
    town = office.town
    bought = await town.subscribed(await town.price("export"))
    await town.settled()
    town.shop.standin.store.remove("subscription", bought.id)
    town.wait(60)
    report = await office.reconciled()
    assert counts(report) == {"unknown_in_stripe": 1}
    assert found(report, "unknown_in_stripe").keys() == {bought.id}
    assert await town.features() == ["export"]


async def test_the_unassigned_are_in_the_report(office: Office) -> None:
    """What is ours by price and nobody's is listed with its reason, as long as it is so."""
    town = office.town
    price = await town.price("export")
    bought = await town.shop.subscribed(price)
    await town.settled()
    report = await office.reconciled()
    assert counts(report) == {"unassigned": 1}
    assert found(report, "unassigned") == {bought.id: {"reason": "no user is known for it"}}


async def test_owners_that_stand_wrong(office: Office) -> None:
    """Whose something is follows from what is held, whatever a writer that died left behind."""
    town = office.town
    subscription = await town.subscribed(await town.price("export"))
    session = await town.shop.bought(await town.price("archive", None), mode="payment", metadata=owned())
    assert await town.features() == ["archive", "export"]
    await town.ingest.query("UPDATE subscription_items SET user_ref = NULL")
    await town.ingest.query("UPDATE purchases SET user_id = 'eve', client_reference_id = 'eve'")
    await town.ingest.query("UPDATE purchase_lines SET user_ref = NULL")
    report = await office.reconciled()
    assert found(report, "repaired").keys() == {subscription.id, session.id}
    assert await town.features() == ["archive", "export"]
    rows = await town.ingest.query("SELECT count(*) AS n FROM subscription_items WHERE user_ref IS NOT NULL")
    assert rows[0].n == 1
    assert counts(await office.reconciled()) == {}


async def test_a_customer_that_stands_wrong(office: Office) -> None:
    """Whose a customer is follows from all that was said of it; what only it names goes with it."""
    town = office.town
    customer = await town.customer(metadata=owned("ada"))
    price = await town.price("export")
    bought = await town.client.subscriptions.create_async({"customer": customer.id, "items": [{"price": price.id}]})
    assert await town.features("ada") == ["export"]
    await town.ingest.query("UPDATE stripe_customers SET user_id = 'eve', user_ref = NULL")
    await town.ingest.query("UPDATE subscriptions SET user_id = 'eve'")
    await town.ingest.query("UPDATE subscription_items SET user_ref = NULL")
    report = await office.reconciled()
    assert found(report, "repaired")[customer.id] == {"user_id": ["eve", "ada"], "owner": [None, "1/ada"]}
    rows = await town.ingest.query("SELECT user_id FROM subscriptions WHERE id = :id", id=bought.id)
    assert [row.user_id for row in rows] == ["ada"]
    assert counts(await office.reconciled()) == {}


async def test_a_customer_whose_name_was_taken_away_unheard(office: Office) -> None:
    """What its metadata said counts no more, and what only it named is nobody's."""
    town = office.town
    customer = await town.customer(metadata=owned("ada"))
    price = await town.price("export")
    await town.client.subscriptions.create_async({"customer": customer.id, "items": [{"price": price.id}]})
    assert await town.features("ada") == ["export"]
    await office.miss()
    await town.client.customers.update_async(customer.id, {"metadata": {"user_id": "", "project_id": ""}})
    report = await office.reconciled()
    assert found(report, "repaired")[customer.id] == {"project": ["shop", None], "user": ["ada", None]}
    assert await town.features("ada") == []


async def test_everybody_is_computed_again_afterwards(office: Office) -> None:
    """A document that somebody spoiled is mended by the job that the run leaves for each project."""
    town = office.town
    await town.subscribed(await town.price("export"))
    assert await town.features() == ["export"]
    await town.ingest.query("UPDATE documents SET body = '[]'")
    report = await office.reconciled()
    rows = await town.ingest.query("SELECT cause, targets FROM recompute_jobs WHERE cause LIKE 'reconcile:%'")
    assert [(row.cause, row.targets) for row in rows] == [(f"reconcile:{report['run_id']}", None)]
    await office.reconciled()
    assert len(await town.ingest.query("SELECT id FROM recompute_jobs WHERE cause LIKE 'reconcile:%'")) == 1
    await recomputed(office)
    assert await town.features() == ["export"]


async def test_history_says_that_reconcile_did_it(office: Office) -> None:
    """The change carries the run as its cause."""
    town = office.town
    price = await town.price("export")
    await office.miss()
    await town.subscribed(price)
    report = await office.reconciled()
    rows = await town.ingest.query("SELECT DISTINCT cause FROM entitlement_history")
    assert {row.cause for row in rows} == {f"reconcile:{report['run_id']}"}
