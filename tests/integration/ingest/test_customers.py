"""Whose a customer is: the same, in whatever order its own events and its sessions come to be known."""

import itertools

import pytest

from tests.support import stripe_objects as stripe
from tests.support.ingest import Ingest
from tests.support.stripe_objects import NOW

_OWNER = {"user_id": "ada", "project_id": "shop"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_deletion_takes_no_name_away(ingest: Ingest, order: tuple[int, ...]) -> None:
    """A purchase that names nobody is its deleted customer's user's, also where the deletion is heard of first."""
    customer, bare = stripe.customer(metadata=_OWNER), stripe.session(metadata={})
    ingest.stripe.hold(bare)
    events = [
        stripe.event("customer.created", customer),
        stripe.event("customer.deleted", customer, NOW + 500),
        stripe.event("checkout.session.completed", stripe.as_payload(bare), NOW + 40),
    ]
    for n in order:
        await ingest.deliver(events[n])
    assert list(await ingest.held("ada")) == ["cs_1 archive"]
    (row,) = await ingest.query("SELECT user_id, deleted_at FROM stripe_customers")
    assert (row.user_id, row.deleted_at is not None) == ("ada", True)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_earliest_session_says_whose_a_nameless_customer_is(ingest: Ingest, order: tuple[int, ...]) -> None:
    """Of two sessions that name different users the one made first counts, not the one heard of first."""
    bare = stripe.session("cs_3", intent="pi_3", metadata={})
    named = [
        {**stripe.session(f"cs_{n}", intent=f"pi_{n}", metadata={}, client_reference_id=user), "created": NOW + n}
        for n, user in ((1, "ada"), (2, "bob"))
    ]
    ingest.stripe.hold(bare, *named)
    events = [stripe.event("checkout.session.completed", stripe.as_payload(one), NOW + 40) for one in (*named, bare)]
    for n in order:
        await ingest.deliver(events[n])
    assert list(await ingest.held("ada")) == ["cs_1 archive", "cs_3 archive"]
    assert list(await ingest.held("bob")) == ["cs_2 archive"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_thin_deletion_takes_no_name_away(ingest: Ingest, order: tuple[int, ...]) -> None:
    """Stripe tells nothing of a customer once it is deleted; the deletion on its event list, which is swept, does."""
    bare = stripe.session(metadata={})
    ingest.stripe.hold(bare, {"id": "cus_1", "object": "customer", "deleted": True})
    events = [
        stripe.thin_event("customer.deleted", "cus_1"),
        stripe.event("customer.deleted", stripe.customer(metadata=_OWNER), NOW),
        stripe.event("checkout.session.completed", stripe.as_payload(bare), NOW + 40),
    ]
    for n in order:
        await ingest.deliver(events[n])
    assert list(await ingest.held("ada")) == ["cs_1 archive"]
    (row,) = await ingest.query("SELECT user_id, deleted_at, livemode FROM stripe_customers")
    assert (row.user_id, row.deleted_at is not None, row.livemode) == ("ada", True, False)
