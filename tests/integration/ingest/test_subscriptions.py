"""A subscription's events, in order and out of it, end in the entitlements that Stripe's state calls for."""

import asyncio
from typing import Any

import pytest

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest
from tests.support.stripe_objects import MONTH, NEW, NOW, OLD
from writer.gateway.errors import StripeUnavailableError
from writer.operations.audit import Actor
from writer.operations.operations import Operations

CREATED, UPDATED, DELETED = (f"customer.subscription.{name}" for name in ("created", "updated", "deleted"))
GRACE_END = "2026-10-24T14:13:20Z"  # NOW + a month + 72 h


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_a_bought_subscription_grants(ingest: Ingest, version: str) -> None:
    """Its payload, in either shape, grants its plan until the period's end and grace, without a fetch."""
    await ingest.deliver(stripe.event(CREATED, stripe.subscription(version=version), api_version=version))
    assert await ingest.held() == {"sub_1 export": GRACE_END}
    assert set((await ingest.statuses()).values()) == {"applied"}
    assert not ingest.stripe.asked


async def test_a_renewal_moves_the_end(ingest: Ingest) -> None:
    """A later payload with a later period prolongs."""
    await ingest.deliver(
        stripe.event(CREATED, stripe.subscription()),
        stripe.event(UPDATED, stripe.subscription(end=NOW + 2 * MONTH), NOW + MONTH),
    )
    assert await ingest.held() == {"sub_1 export": "2026-11-23T14:13:20Z"}


async def test_an_older_event_is_superseded(ingest: Ingest) -> None:
    """What was created before the state that is held changes nothing and asks nothing of Stripe."""
    late = stripe.event(CREATED, stripe.subscription(status="incomplete"), NOW)
    await ingest.deliver(stripe.event(UPDATED, stripe.subscription(), NOW + 10), late)
    assert await ingest.held() == {"sub_1 export": GRACE_END}
    assert (await ingest.statuses())[late["id"]] == "superseded"
    assert not ingest.stripe.asked


async def test_a_tie_in_one_second_is_fetched_once(ingest: Ingest) -> None:
    """Two events of the same second cannot be ordered: Stripe is asked once, and both are settled."""
    ingest.stripe.hold(stripe.subscription(status="active"))
    first = stripe.event(UPDATED, stripe.subscription(status="active"))
    second = stripe.event(CREATED, stripe.subscription(status="incomplete"))
    await ingest.receive(first)
    await ingest.receive(second)
    await ingest.pipeline.process("sub_1")
    assert await ingest.held() == {"sub_1 export": GRACE_END}
    assert ingest.stripe.asked == {"sub_1": 1}
    assert sorted((await ingest.statuses()).values()) == ["applied", "superseded"]


async def test_events_near_a_fetch_are_fetched(ingest: Ingest) -> None:
    """Within two seconds of a fetch on either side clocks prove nothing; beyond them the payload does, or is old."""
    ingest.stripe.hold(stripe.subscription())
    ingest.clock.at = NOW + 100
    await ingest.deliver(stripe.thin_event("subscription", "sub_1"))
    for created, fetches in ((NOW + 97, 1), (NOW + 98, 2), (NOW + 102, 3), (NOW + 103, 3)):
        await ingest.deliver(stripe.event(UPDATED, stripe.subscription(), created))
        assert ingest.stripe.asked["sub_1"] == fetches
    assert await ingest.held() == {"sub_1 export": GRACE_END}


async def test_a_thousand_events_cost_one_fetch(ingest: Ingest) -> None:
    """However many events of one object wait, one fetch settles them all."""
    ingest.stripe.hold(stripe.subscription())
    for number in range(1000):
        await ingest.receive(stripe.event(UPDATED, stripe.subscription(), NOW + number // 4))
    await ingest.pipeline.process("sub_1")
    assert ingest.stripe.asked == {"sub_1": 1}
    rows = await ingest.query("SELECT status, count(*) AS n FROM webhook_events GROUP BY status")
    assert {row.status: row.n for row in rows} == {"applied": 1, "superseded": 999}


async def test_an_event_received_during_a_fetch_is_not_settled_by_it(ingest: Ingest) -> None:
    """The fetch may have missed what it tells, so it stays pending and is worked on next."""
    ingest.stripe.hold(stripe.subscription())
    await ingest.receive(stripe.thin_event("subscription", "sub_1"))
    newest = await ingest.pending.newest("sub_1")
    assert newest is not None
    late = await ingest.receive(stripe.event(UPDATED, stripe.subscription(status="past_due")))
    await ingest.pipeline._attempt("sub_1", newest)
    assert ingest.stripe.asked["sub_1"] == 1
    assert (await ingest.statuses())[late.id] == "pending"


async def test_a_fetch_that_was_overtaken_is_repeated(ingest: Ingest) -> None:
    """While a fetch is under way another writer applies a newer state: what was fetched does not undo it."""
    ingest.stripe.gate = asyncio.Event()
    ingest.stripe.hold(stripe.subscription())
    await ingest.receive(stripe.thin_event("subscription", "sub_1"))
    fetching = asyncio.create_task(ingest.pipeline.process("sub_1"))
    while not ingest.stripe.asked["sub_1"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    ingest.stripe.hold(stripe.subscription(status="unpaid"))
    await ingest.deliver(stripe.event(UPDATED, stripe.subscription(status="unpaid"), NOW + 1))
    ingest.stripe.gate.set()
    await fetching
    assert ingest.stripe.asked["sub_1"] == 2
    assert await ingest.held() == {}


@pytest.mark.parametrize(
    ("changed", "held"),
    [
        ({"status": "canceled", "ended_at": NOW + 50}, "2026-09-21T14:14:10Z"),
        ({"cancel_at_period_end": True}, "2026-10-21T14:13:20Z"),
        ({"cancel_at": NOW + 500}, "2026-09-21T14:21:40Z"),
        ({"pause_collection": {"behavior": "void"}}, GRACE_END),
    ],
)
async def test_an_end_is_kept_exactly(ingest: Ingest, changed: dict[str, Any], held: str) -> None:
    """Cancelled ends at once, a stated end without grace, and held-back invoices leave access alone."""
    await ingest.deliver(
        stripe.event(CREATED, stripe.subscription()), stripe.event(DELETED, stripe.subscription(**changed), NOW + 50)
    )
    assert await ingest.held() == {"sub_1 export": held}


async def test_an_open_invoice_begins_past_due_grace(ingest: Ingest) -> None:
    """A past-due subscription grants until 30 days after its invoice, in either shape, known before it or after."""
    for number, version in enumerate((OLD, NEW)):
        sub = stripe.subscription(f"sub_{version}", status="past_due", version=version)
        opened = stripe.invoice(f"in_{version}", f"sub_{version}", version=version)
        events = [stripe.event(UPDATED, sub), stripe.event("invoice.payment_failed", opened)]
        await ingest.deliver(*(events if number else reversed(events)))
        assert (await ingest.held())[f"sub_{version} export"] == "2026-10-21T14:13:20Z"


async def test_past_due_without_its_invoice_asks_what_is_owed(ingest: Ingest) -> None:
    """Whose invoice's events were lost has the same grace: the open invoices are asked for, once, and not again."""
    ingest.stripe.hold(stripe.invoice(), stripe.invoice("in_2", "sub_2"), stripe.invoice("in_0", status="paid"))
    late = stripe.subscription(status="past_due", end=NOW + 12 * MONTH)
    await ingest.deliver(stripe.event(UPDATED, late), stripe.event(UPDATED, late, NOW + 60))
    assert await ingest.held() == {"sub_1 export": "2026-10-21T14:13:20Z"}
    assert ingest.stripe.asked == {"invoices of sub_1": 1}
    assert [row.id for row in await ingest.query("SELECT id FROM invoices")] == ["in_1"]


async def test_past_due_waits_for_an_invoice_that_is_on_its_way(ingest: Ingest) -> None:
    """Where an event of its latest invoice waits in the inbox, Stripe need not be asked."""
    await ingest.receive(stripe.event("invoice.payment_failed", stripe.invoice()))
    await ingest.deliver(stripe.event(UPDATED, stripe.subscription(status="past_due", latest_invoice="in_1")))
    assert not ingest.stripe.asked
    await ingest.pipeline.process("in_1")
    assert await ingest.held() == {"sub_1 export": "2026-10-21T14:13:20Z"}


async def test_what_stripe_does_not_know_stays_as_held(ingest: Ingest) -> None:
    """A fetch that finds nothing proves no end: the event says so, and the user keeps what was bought."""
    await ingest.deliver(stripe.event(CREATED, stripe.subscription()))
    await ingest.deliver(stripe.thin_event("subscription", "sub_1", created="2026-09-21T15:13:20.123Z"))
    assert await ingest.held() == {"sub_1 export": GRACE_END}
    rows = await ingest.query("SELECT last_error FROM webhook_events WHERE status = 'ignored'")
    assert [row.last_error for row in rows] == ["Stripe does not know it; what is held of it stays"]


async def test_metadata_that_is_edited_moves_the_grant(ingest: Ingest) -> None:
    """The old user loses it and the new one has it, in the same transaction."""
    moved = stripe.subscription(metadata={"user_id": "bob", "project_id": "shop"})
    await ingest.deliver(stripe.event(CREATED, stripe.subscription()), stripe.event(UPDATED, moved, NOW + 10))
    assert (await ingest.held("ada"), await ingest.held("bob")) == ({}, {"sub_1 export": GRACE_END})


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "no user is known for it"),
        ({"user_id": "ada", "project_id": "nowhere"}, "its metadata project_id names no project"),
        ({"user_id": "a\tb"}, "its metadata user_id is no user id"),
    ],
)
async def test_what_is_nobodys_is_kept_and_told(ingest: Ingest, metadata: dict[str, str], reason: str) -> None:
    """Ours by price without an owner: kept with the reason, counted, granting nothing."""
    await ingest.deliver(stripe.event(CREATED, stripe.subscription(metadata=metadata)))
    (row,) = await ingest.query("SELECT user_id, unassigned_reason FROM subscriptions")
    assert (row.user_id, row.unassigned_reason) == (None, reason)
    assert ingest.registry.get_sample_value("billing_apply_unassigned_total", {"kind": "subscription"}) == 1
    assert await ingest.held() == {}


async def test_another_apps_subscription_is_ignored(ingest: Ingest) -> None:
    """A subscription of prices that no project sells is counted as ignored, with the reason."""
    ingest.stripe.hold(stripe.price("price_x", product=stripe.product("prod_x")))  # type: ignore[arg-type]
    await ingest.deliver(stripe.event(CREATED, stripe.subscription(prices=("price_x",), metadata={"user_id": "ada"})))
    (row,) = await ingest.query("SELECT status, last_error FROM webhook_events")
    assert (row.status, row.last_error) == ("ignored", "no price of ours")


async def test_a_price_that_becomes_ours_assigns_what_was_bought(ingest: Ingest) -> None:
    """Once the price's metadata names a project, its subscriptions are that project's, whatever came first."""
    item = stripe.price("price_x", product=stripe.product("prod_x"))  # type: ignore[arg-type]
    ingest.stripe.hold(item)
    await ingest.deliver(stripe.event(CREATED, stripe.subscription(prices=("price_x",), metadata={"user_id": "ada"})))
    placed = stripe.price("price_x", "prod_x", metadata={"project_id": "shop", "feature_codes": "export"})
    await ingest.deliver(stripe.event("price.updated", placed, NOW + 60))
    (row,) = await ingest.query("SELECT u.user_id FROM subscription_items i JOIN users u ON u.id = i.user_ref")
    assert row.user_id == "ada"


async def test_a_project_that_comes_later_gets_what_named_it(ingest: Ingest) -> None:
    """What was bought for a project before it existed is assigned when it is created, also without a price of ours."""
    product = stripe.product("prod_x")
    ingest.stripe.hold(stripe.price("price_x", product=product))  # type: ignore[arg-type]
    ingest.stripe.hold(stripe.price("price_y", product=product, recurring=False))  # type: ignore[arg-type]
    named = {"user_id": "ada", "project_id": "later"}
    session = stripe.session(prices=("price_y",), metadata=named)
    ingest.stripe.hold(session)
    await ingest.deliver(
        stripe.event(CREATED, stripe.subscription(prices=("price_x",), metadata=named)),
        stripe.event("checkout.session.completed", session),
    )
    operations = Operations(ingest.engine, ingest.transactions, ingest.recompute, ingest.clock, lambda: None)
    await operations.create_project("later", "Later", [], Actor("test"))
    rows = await ingest.query(
        "SELECT u.user_id, p.public_id FROM (SELECT user_ref FROM subscription_items UNION ALL "
        "SELECT user_ref FROM purchase_lines) i LEFT JOIN users u ON u.id = i.user_ref "
        "LEFT JOIN projects p ON p.id = u.project_id"
    )
    assert [tuple(row) for row in rows] == [("ada", "later")] * 2


async def test_a_customer_that_becomes_known_assigns_what_it_bought(ingest: Ingest) -> None:
    """A subscription without a user waits for its customer, and is then its user's."""
    await ingest.deliver(stripe.event(CREATED, stripe.subscription(metadata={})))
    known = stripe.customer(metadata={"user_id": "ada", "project_id": "shop"})
    await ingest.deliver(stripe.event("customer.updated", known, NOW + 5))
    assert await ingest.held() == {"sub_1 export": GRACE_END}


async def test_many_items_are_fetched_whole(ingest: Ingest) -> None:
    """A payload that holds only the first of its items is not applied: the whole is fetched."""
    ingest.stripe.hold(stripe.subscription())
    part = stripe.subscription()
    part["items"] = {**part["items"], "data": [], "has_more": True}
    await ingest.deliver(stripe.event(CREATED, part))
    assert await ingest.held() == {"sub_1 export": GRACE_END}


async def test_an_overtaken_fetch_is_not_applied(ingest: Ingest) -> None:
    """A fetched object that is clearly older than what is held changes nothing."""
    from common.clock import SECOND, Instant  # noqa: PLC0415
    from writer.domain.stripe.kinds import ObjectKind  # noqa: PLC0415
    from writer.outbox import Cause  # noqa: PLC0415

    await ingest.deliver(stripe.event(UPDATED, stripe.subscription(), NOW + 10))
    old = stripe.subscription(status="canceled", ended_at=NOW)
    assert await ingest.applier.apply_object(ObjectKind.SUBSCRIPTION, old, Instant(NOW * SECOND), Cause("x")) == []
    assert await ingest.held() == {"sub_1 export": GRACE_END}
    assert not ingest.stripe.asked


async def test_stripe_away_puts_off_and_then_recovers(ingest: Ingest) -> None:
    """What needs a fetch waits while Stripe is away, with the reason, and is applied once it is back."""
    ingest.stripe.fault = StripeUnavailableError("no answer")
    ingest.stripe.hold(stripe.subscription())
    await ingest.deliver(stripe.thin_event("subscription", "sub_1"))
    (row,) = await ingest.query("SELECT status, attempts, last_error, claimed_by FROM webhook_events")
    assert (row.status, row.attempts, row.claimed_by) == ("pending", 1, None)
    assert "Stripe is unavailable" in row.last_error
    ingest.stripe.fault = None
    await ingest.pipeline.process("sub_1")
    assert await ingest.held() == {"sub_1 export": GRACE_END}
