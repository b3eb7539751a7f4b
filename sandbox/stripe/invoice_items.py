"""Invoice items, and invoices made by hand from them."""

from sandbox.stripe.catalog import new_price
from sandbox.stripe.errors import invalid
from sandbox.stripe.invoice_drafts import Line, new_invoice
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject


def _create_item(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    customer = ledger.store.get("customer", params.need("customer"), "customer")
    price = _price(ledger, params)
    quantity = params.integer("quantity", 1, minimum=0)
    now = ledger.clock.now()
    item = ledger.new(
        "invoiceitem",
        "ii",
        amount=price["unit_amount"] * (1 if quantity is None else quantity),
        currency=price["currency"],
        customer=customer["id"],
        date=now,
        description=params.text("description"),
        discountable=True,
        discounts=[],
        invoice=None,
        metadata=params.metadata(),
        net_amount=price["unit_amount"] * (1 if quantity is None else quantity),
        parent=None,
        period={"end": now, "start": now},
        pricing={
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        proration=False,
        quantity=quantity,
        quantity_decimal=str(quantity),
        tax_rates=[],
        test_clock=customer["test_clock"],
    )
    del item["created"]
    ledger.emit("invoiceitem.created", item)
    return item


def _price(ledger: Ledger, params: Params) -> JsonObject:
    named = params.hash("pricing").text("price") or params.text("price")
    if named is not None:
        return ledger.store.get("price", named, "pricing[price]")
    data: JsonObject = {"currency": params.text("currency") or "usd", "unit_amount": params.need("amount")}
    name = params.text("description") or "Invoice item"
    return new_price(ledger, Params(data | {"active": "false", "product_data": {"name": name}}))


def _create_invoice(ledger: Ledger, call: Call) -> JsonObject:
    customer = ledger.store.get("customer", call.params.need("customer"), "customer")
    with ledger.on_clock_of(customer["id"]):
        waiting = ledger.store.where("invoiceitem", customer=customer["id"], invoice=None)
        lines = [_line(ledger, item) for item in waiting]
        invoice = new_invoice(ledger, customer["id"], lines, "manual")
        by_hand = not call.params.flag("auto_advance")
        if by_hand:
            invoice |= {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
        invoice["metadata"] = call.params.metadata()
        for item in waiting:
            item["invoice"] = invoice["id"]
    return ledger.store.put(invoice)


def _line(ledger: Ledger, item: JsonObject) -> Line:
    price = ledger.store.get("price", item["pricing"]["price_details"]["price"])
    period = item["period"]
    return Line(price, item["quantity"], item["amount"], period["start"], period["end"], metadata=item["metadata"])


def _delete(ledger: Ledger, call: Call) -> JsonObject:
    item = ledger.store.get("invoiceitem", call.id)
    if item["invoice"] is not None:
        raise invalid("Attempting to delete an invoice item that is attached to an invoice.")
    ledger.store.remove("invoiceitem", item["id"])
    ledger.emit("invoiceitem.deleted", item)
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("invoiceitem", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("invoiceitem"), call.params, "customer", "invoice"), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/invoices", _create_invoice),
    ("POST", "/v1/invoiceitems", _create_item),
    ("GET", "/v1/invoiceitems", _list),
    ("GET", "/v1/invoiceitems/{id}", _retrieve),
    ("DELETE", "/v1/invoiceitems/{id}", _delete),
)
