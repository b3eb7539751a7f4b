"""Amounts, what an invoice's lines sold, and operations at Stripe: each named without a stranger's words."""

from typing import Any

import pytest

from tests.support import stripe_objects as stripe
from writer.domain.money import written
from writer.domain.stripe.invoice import InvoiceLine, parse_invoice
from writer.gateway.transport import operation_of


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (123_456, "usd", "1,234.56 USD"),
        (-500, "JPY", "-500 JPY"),
        (-5, "eur", "-0.05 EUR"),
        (1_234, "kwd", "1.234 KWD"),
        (0, "isk", "0.00 ISK"),
    ],
)
def test_amounts_are_written_as_their_currency_is(amount: int, currency: str, shown: str) -> None:
    """With no decimals, two or three, as Stripe counts them."""
    assert written(amount, currency) == shown


def line(**more: Any) -> dict[str, Any]:
    """A line of an invoice."""
    return {"id": "il_1", "object": "line_item", "amount": 1000, **more}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (line(price={"id": "price_1", "type": "recurring"}), InvoiceLine("price_1", 1000, recurring=True)),
        (line(price={"id": "price_1"}, type="invoiceitem"), InvoiceLine("price_1", 1000, recurring=False)),
        (
            line(
                pricing={"price_details": {"price": "price_1"}},
                parent={"type": "invoice_item_details", "invoice_item_details": {"proration": True}},
                discount_amounts=[{"amount": 100}, {"amount": 50}],
            ),
            InvoiceLine("price_1", 850, recurring=True),
        ),
        (line(parent={"type": "subscription_item_details"}, amount=-300), InvoiceLine(None, -300, recurring=True)),
    ],
)
def test_a_line_is_read_from_every_shape(row: dict[str, Any], expected: InvoiceLine) -> None:
    """Its price, its amount after discounts, and whether it recurs."""
    lines = {"object": "list", "data": [row], "has_more": False}
    assert parse_invoice(stripe.invoice(lines=lines)).lines == (expected,)


@pytest.mark.parametrize("rows", [[line(amount="much")], ["no object"], [{}]])
def test_lines_that_make_no_sense_stop_no_invoice(rows: list[Any]) -> None:
    """Figures are the poorer for it; that it was paid is read all the same."""
    assert parse_invoice(stripe.invoice(lines={"object": "list", "data": rows, "has_more": False})).lines is None


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1/prices/price_1", "GET /v1/prices/{id}"),
        ("/v1/checkout/sessions/cs_1/line_items", "GET /v1/checkout/sessions/{id}/line_items"),
        ("/v1/anything/else", "GET /v1/{id}/{id}"),
    ],
)
def test_operations_are_few(path: str, operation: str) -> None:
    """Whatever is asked for, ids and unknown words are one."""
    assert operation_of("get", path) == operation
