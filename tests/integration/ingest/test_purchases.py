"""One-time purchases: granted once paid, revoked by refunds and lost disputes, whichever is heard of first."""

import itertools

import pytest

from common.clock import SECOND, Instant
from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest
from tests.support.stripe_objects import NOW, Json
from writer.domain.stripe.kinds import ObjectKind
from writer.outbox import Cause

COMPLETED = "checkout.session.completed"
GRANTED = {"cs_1 archive": None}


def completed(source: Json, created: int = NOW + 40) -> Json:
    """The event that a session completed, as Stripe sends it."""
    return stripe.event(COMPLETED, stripe.as_payload(source), created)


async def test_a_paid_session_grants_its_lines_for_life(ingest: Ingest) -> None:
    """Its lines are fetched, and grant from the moment of payment."""
    ingest.stripe.hold(stripe.session())
    await ingest.deliver(completed(stripe.session()))
    assert await ingest.held() == GRANTED
    (row,) = await ingest.query("SELECT extract(epoch FROM completed_at)::bigint AS at, payment_intent FROM purchases")
    assert (row.at, row.payment_intent) == (NOW + 30, "pi_1")
    assert ingest.stripe.asked == {"cs_1": 1}


async def test_an_asynchronous_payment_grants_once_paid(ingest: Ingest) -> None:
    """Complete but unpaid grants nothing; the success that follows does."""
    unpaid = stripe.session(payment_status="unpaid")
    ingest.stripe.hold(unpaid)
    await ingest.deliver(completed(unpaid))
    assert await ingest.held() == {}
    ingest.stripe.hold(stripe.session())
    await ingest.deliver(
        stripe.event("checkout.session.async_payment_succeeded", stripe.as_payload(stripe.session()), NOW + 90)
    )
    assert await ingest.held() == GRANTED


async def test_an_expired_session_ends_its_request(ingest: Ingest) -> None:
    """Nobody is sent to it again, and nothing is fetched."""
    await ingest.grant("ada", "export")
    await ingest.query(
        """INSERT INTO checkout_requests (session_id, project_id, user_ref, fingerprint, url, expires_at)
           SELECT 'cs_1', project_id, id, sha256('x'), 'https://x', now() FROM users"""
    )
    await ingest.deliver(stripe.event("checkout.session.expired", stripe.as_payload(stripe.session(status="expired"))))
    (row,) = await ingest.query("SELECT completed_at FROM checkout_requests")
    assert row.completed_at is not None
    assert not ingest.stripe.asked


LOST = stripe.event("charge.dispute.closed", stripe.dispute(), NOW + 70)
FULL = stripe.event("refund.created", stripe.refund(), NOW + 70)


@pytest.mark.parametrize("reversal", [FULL, LOST], ids=["refund", "dispute"])
@pytest.mark.parametrize("first", ["purchase", "reversal"])
async def test_a_reversal_revokes_whenever_it_comes(ingest: Ingest, reversal: Json, first: str) -> None:
    """A full refund and a lost dispute revoke, also where they are known before their purchase."""
    ingest.stripe.hold(stripe.session())
    events = [completed(stripe.session()), reversal]
    await ingest.deliver(*(events if first == "purchase" else reversed(events)))
    assert await ingest.held() == {}


@pytest.mark.parametrize(
    ("events", "held"),
    [
        ([stripe.event("refund.created", stripe.refund(amount=400))], GRANTED),
        ([stripe.event("refund.created", stripe.refund(f"re_{n}", amount=500)) for n in (1, 2)], {}),
        ([FULL, stripe.event("refund.failed", stripe.refund(status="failed"), NOW + 99)], GRANTED),
        ([stripe.event("charge.dispute.created", stripe.dispute(status="needs_response"))], GRANTED),
        ([LOST, stripe.event("charge.dispute.closed", stripe.dispute(status="won"), NOW + 99)], GRANTED),
    ],
    ids=["partial", "several", "failed", "open", "won"],
)
async def test_only_what_reverses_it_all_revokes(ingest: Ingest, events: list[Json], held: Json) -> None:
    """Partial refunds leave it, several that reach the amount revoke, a failed one and a won dispute restore."""
    ingest.stripe.hold(stripe.session())
    await ingest.deliver(completed(stripe.session()), *events)
    assert await ingest.held() == held


async def test_a_refunded_charge_lists_its_refunds(ingest: Ingest) -> None:
    """`charge.refunded` alone, which is all that old endpoints send, finds the refunds by payment intent."""
    ingest.stripe.hold(stripe.session(), stripe.refund())
    charge = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "amount_refunded": 1000}
    await ingest.deliver(completed(stripe.session()), stripe.event("charge.refunded", charge, NOW + 70))
    assert await ingest.held() == {}
    assert ingest.stripe.asked["pi_1"] == 1


async def test_a_session_makes_its_subscription_known(ingest: Ingest) -> None:
    """A subscription-mode session applies the subscription that came with it, and a one-time line beside it."""
    made = stripe.subscription(metadata={})
    session = stripe.session(
        prices=("price_life",), mode="subscription", subscription=made, payment_intent=None, invoice="in_1",
        client_reference_id="ada", metadata={},
    )  # fmt: skip
    payments = {"data": [{"status": "paid", "payment": {"payment_intent": "pi_9"}}]}
    ingest.stripe.hold(session, made, stripe.invoice(status="paid", payments=payments))
    await ingest.deliver(completed(session))
    assert sorted(await ingest.held()) == ["cs_1 archive", "sub_1 export"]
    (row,) = await ingest.query("SELECT payment_intent FROM purchases")
    assert row.payment_intent == "pi_9"
    await ingest.deliver(stripe.event("customer.subscription.updated", made, NOW + 900))
    assert "sub_1 export" in await ingest.held()


async def test_a_session_names_the_user_of_an_earlier_subscription(ingest: Ingest) -> None:
    """The subscription came first and named nobody; its session's `client_reference_id` then says whose it is."""
    made = stripe.subscription(metadata={})
    session = stripe.session(
        prices=(), mode="subscription", subscription=made, payment_intent=None, client_reference_id="ada", metadata={}
    )
    session["line_items"]["data"] = [
        {"id": "li_1", "object": "item", "quantity": 1, "amount_total": 1000, "price": stripe.price()}
    ]
    ingest.stripe.hold(session, made)
    await ingest.deliver(stripe.event("customer.subscription.created", made), completed(session))
    assert list(await ingest.held()) == ["sub_1 export"]
    assert not await ingest.query("SELECT 1 FROM purchases")


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
async def test_a_customer_that_moves_takes_along_what_only_it_names(ingest: Ingest, order: tuple[int, ...]) -> None:
    """A purchase that names nobody is its customer's user's, now bob's; one that names its user stays ada's."""
    named = stripe.session("cs_2", intent="pi_2", metadata={}, client_reference_id="ada")
    bare = stripe.session(metadata={})
    known, moved = (stripe.customer(metadata={"user_id": user, "project_id": "shop"}) for user in ("ada", "bob"))
    ingest.stripe.hold(bare, named)
    events = [stripe.event("customer.created", known), completed(bare), completed(named)]
    await ingest.deliver(*(events[n] for n in order), stripe.event("customer.updated", moved, NOW + 900))
    assert (list(await ingest.held("ada")), list(await ingest.held("bob"))) == (["cs_2 archive"], ["cs_1 archive"])


async def test_a_deleted_customer_keeps_what_was_paid_for_life(ingest: Ingest) -> None:
    """The customer's row says that it is gone; the purchase stays."""
    ingest.stripe.hold(stripe.session())
    await ingest.deliver(completed(stripe.session()), stripe.event("customer.deleted", stripe.customer(), NOW + 500))
    assert await ingest.held() == GRANTED
    (row,) = await ingest.query("SELECT deleted_at FROM stripe_customers WHERE id = 'cus_1'")
    assert row.deleted_at is not None


async def test_a_confirmed_session_needs_no_webhook(ingest: Ingest) -> None:
    """A session that somebody fetched is applied at once, answers its revisions, and wakes the relay."""
    ingest.stripe.hold(stripe.session())
    revisions = await ingest.applier.apply_object(
        ObjectKind.SESSION, stripe.session(), Instant((NOW + 41) * SECOND), Cause("confirm:cs_1")
    )
    assert [revision.user_id for revision in revisions] == ["ada"]
    assert await ingest.held() == GRANTED
    assert ingest.relay._event.is_set()
    await ingest.deliver(completed(stripe.session()))
    assert len(await ingest.query("SELECT 1 FROM entitlement_history")) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_any_order_of_purchase_refund_and_failure_ends_alike(ingest: Ingest, order: tuple[int, ...]) -> None:
    """Bought, refunded, the refund failed: it grants in the end, whatever came first."""
    ingest.stripe.hold(stripe.session(), stripe.refund(status="failed"))
    events = [
        completed(stripe.session()),
        stripe.event("refund.created", stripe.refund(), NOW + 70),
        stripe.event("refund.failed", stripe.refund(status="failed"), NOW + 90),
    ]
    await ingest.deliver(*(events[n] for n in order))
    assert await ingest.held() == GRANTED


async def test_a_session_that_only_subscribes_is_not_told_as_nobodys(ingest: Ingest) -> None:
    """Its subscription's own events tell whose that is; a purchase that names nobody is counted."""
    subscribing = stripe.session("cs_sub", metadata={}, customer=None, mode="subscription", subscription="sub_1")
    for line in subscribing["line_items"]["data"]:
        line["price"] |= {"type": "recurring", "recurring": {"interval": "month"}}
    for one in (subscribing, stripe.session("cs_once", metadata={}, customer=None)):
        ingest.stripe.hold(one)
        await ingest.deliver(completed(one))
    labels = {"kind": ObjectKind.SESSION.value}
    assert ingest.registry.get_sample_value("billing_apply_unassigned_total", labels) == 1
