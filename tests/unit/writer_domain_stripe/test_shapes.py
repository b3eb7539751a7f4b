"""Stripe's objects are read alike in every API version, and what cannot be read is named."""

from typing import Any

import pytest

from common.clock import SECOND
from tests.support import stripe_objects as stripe
from tests.support.stripe_objects import MONTH, NEW, NOW, OLD
from writer.domain.stripe.event import Ignored, parse_event
from writer.domain.stripe.fields import ShapeError
from writer.domain.stripe.invoice import parse_invoice
from writer.domain.stripe.kinds import KIND_OF_TYPE, ObjectKind
from writer.domain.stripe.payment import parse_refund
from writer.domain.stripe.session import needs_lines, parse_session
from writer.domain.stripe.subscription import is_whole, parse_subscription
from writer.gateway.pages import lines_of


def test_both_shapes_of_a_subscription_read_alike() -> None:
    """Periods on the subscription and periods on its items are the same facts."""
    old, new = (parse_subscription(stripe.subscription(version=version)) for version in (OLD, NEW))
    assert old == new
    assert new.items[0].period_end == (NOW + MONTH) * SECOND


def test_items_keep_their_own_periods() -> None:
    """In the new shape each item ends when it says."""
    source = stripe.subscription(prices=("price_a", "price_b"))
    source["items"]["data"][1]["current_period_end"] = NOW + 1
    assert [item.period_end for item in parse_subscription(source).items] == [
        (NOW + MONTH) * SECOND,
        (NOW + 1) * SECOND,
    ]


def test_a_metered_item_has_one_unit() -> None:
    """Where Stripe tells no quantity there is one; zero stays zero."""
    source = stripe.subscription(prices=("price_a", "price_b"))
    del source["items"]["data"][0]["quantity"]
    source["items"]["data"][1]["quantity"] = 0
    assert [item.quantity for item in parse_subscription(source).items] == [1, 0]


def test_both_shapes_of_an_invoice_read_alike() -> None:
    """`subscription` and `parent.subscription_details.subscription` name the same."""
    assert parse_invoice(stripe.invoice(version=OLD)) == parse_invoice(stripe.invoice(version=NEW))
    assert parse_invoice(stripe.invoice()).subscription_id == "sub_1"
    assert parse_invoice(stripe.invoice(sub=None)).subscription_id is None


@pytest.mark.parametrize(
    "more",
    [
        {"payment_intent": "pi_1"},
        {"payment_intent": {"id": "pi_1", "object": "payment_intent"}},
        {"payments": {"data": [{"status": "paid", "payment": {"payment_intent": "pi_1"}}]}},
        {
            "payments": {
                "data": [
                    {"status": "canceled", "payment": {"payment_intent": "pi_0"}},
                    {"status": "paid", "payment": {"payment_intent": "pi_1"}},
                ]
            }
        },
    ],
)
def test_an_invoices_payment_intent_is_found_in_every_shape(more: dict[str, Any]) -> None:
    """Old invoices name it; new ones list payments, of which the paid one counts."""
    assert parse_invoice(stripe.invoice(**more)).payment_intent == "pi_1"


def test_expanded_links_read_like_ids() -> None:
    """A customer that was expanded is still that customer."""
    expanded = stripe.subscription(customer={"id": "cus_1", "object": "customer"})
    assert parse_subscription(expanded) == parse_subscription(stripe.subscription())


def test_a_session_parts_what_was_bought_once() -> None:
    """Recurring lines are the subscription's; a list that is not whole is no list."""
    source = stripe.session()
    source["line_items"]["data"].append({"id": "li_2", "object": "item", "quantity": 1, "price": stripe.price()})
    session = parse_session(source)
    assert [line.id for line in session.one_time_lines] == ["li_cs_1_price_life"]
    assert session.paid_from == (NOW + 30) * SECOND
    assert parse_session(stripe.as_payload(source)).lines is None
    source["line_items"]["has_more"] = True
    assert parse_session(source).lines is None


def test_what_grants_nothing_does_not_spoil_its_session() -> None:
    """A line without a price is left out, and a session that only keeps a card needs no lines."""
    source = stripe.session()
    source["line_items"]["data"].append({"id": "li_2", "object": "item", "quantity": 1, "price": None})
    assert [line.id for line in parse_session(source).lines or ()] == ["li_cs_1_price_life"]
    assert needs_lines(source)
    kept = stripe.session(mode="setup", payment_status="no_payment_required", amount_total=None, currency=None)
    assert not needs_lines(kept)
    del kept["line_items"]
    assert lines_of(kept)["data"] == []
    assert parse_session(kept).lines == ()


def test_a_refund_without_a_status_succeeded() -> None:
    """As refunds did before they had one."""
    assert parse_refund(stripe.refund() | {"status": None}).status == "succeeded"


def test_a_list_that_is_cut_off_is_not_whole() -> None:
    """A payload holds the first items only; the rest must be fetched."""
    source = stripe.subscription()
    assert is_whole(source)
    source["items"]["has_more"] = True
    assert not is_whole(source)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": None}, "subscription.id"),
        ({"id": "sub\0"}, "subscription.id"),
        ({"customer": None}, "subscription.customer"),
        ({"status": "delighted"}, "subscription.status"),
        ({"start_date": "today"}, "subscription.start_date"),
        ({"start_date": True}, "subscription.start_date"),
        ({"start_date": 10**15}, "subscription.start_date"),
        ({"cancel_at_period_end": "yes"}, "subscription.cancel_at_period_end"),
        ({"metadata": [1]}, "subscription.metadata"),
        ({"items": {"data": [None]}}, "subscription.items.data"),
        ({"items": {"data": [{"id": "si_1", "object": "subscription_item"}]}}, "subscription_item.price.product"),
    ],
)
def test_what_cannot_be_read_is_named(change: dict[str, Any], named: str) -> None:
    """The error says which field, and never its value."""
    with pytest.raises(ShapeError, match=named.replace(".", r"\.")):
        parse_subscription(stripe.subscription() | change)


def test_a_thin_event_names_its_object() -> None:
    """It has no payload; its kind and id are its related object's."""
    event = parse_event(stripe.thin_event("checkout.session", "cs_1"))
    assert (event.kind, event.object_id, event.payload) == (ObjectKind.SESSION, "cs_1", None)
    assert event.ignored(livemode=False) is None


@pytest.mark.parametrize(
    ("more", "ignored"),
    [
        ({}, None),
        ({"account": "acct_1"}, Ignored.CONNECT),
        ({"livemode": True}, Ignored.MODE),
        ({"type": "customer.discount.created"}, Ignored.TYPE),
        ({"data": {"object": {}}}, Ignored.OBJECT),
        ({"data": None}, Ignored.OBJECT),
    ],
)
def test_what_is_not_ours_is_told_apart(more: dict[str, Any], ignored: Ignored | None) -> None:
    """Connected accounts, the other mode, other types, and events about nothing."""
    event = parse_event(stripe.event("customer.updated", stripe.customer()) | more)
    assert event.ignored(livemode=False) is ignored


@pytest.mark.parametrize("kind", ["customer", "product", "price"])
def test_a_deletion_marks_its_payload(kind: str) -> None:
    """The payload of a deletion is the object's last state, which alone would not say that it is gone."""
    assert (parse_event(stripe.event(f"{kind}.deleted", stripe.customer())).payload or {})["deleted"] is True


def test_a_deleted_subscription_is_only_canceled() -> None:
    """It stays at Stripe, and its payload tells its state."""
    event = parse_event(stripe.event("customer.subscription.deleted", stripe.subscription()))
    assert "deleted" not in (event.payload or {})


def test_every_event_of_the_design_is_applied() -> None:
    """The types that end in an effect, whole."""
    listed = """
        checkout.session.completed checkout.session.async_payment_succeeded checkout.session.async_payment_failed
        checkout.session.expired customer.subscription.created customer.subscription.updated
        customer.subscription.deleted customer.subscription.paused customer.subscription.resumed
        customer.subscription.trial_will_end invoice.finalized invoice.paid invoice.payment_succeeded
        invoice.payment_failed invoice.voided invoice.marked_uncollectible charge.refunded refund.created
        refund.updated refund.failed charge.dispute.created charge.dispute.closed customer.created customer.updated
        customer.deleted product.created product.updated product.deleted price.created price.updated price.deleted
    """
    assert set(listed.split()) <= set(KIND_OF_TYPE)
