"""Invoices and invoice payments over the API: list, read, pay, finalise, void, mark uncollectible."""

from typing import Final

from sandbox.stripe import invoicing
from sandbox.stripe.errors import declined, invalid
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.payment_methods import Outcome, attached
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscription_state import after_giving_up, after_payment

CLOSED: Final = ("paid", "void")


def owner_of(ledger: Ledger, invoice: JsonObject) -> JsonObject | None:
    """The subscription that the invoice bills."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    return ledger.store.find("subscription", details.get("subscription"))


def _open(ledger: Ledger, call: Call, *statuses: str) -> JsonObject:
    invoice = ledger.store.get("invoice", call.id)
    if invoice["status"] not in statuses:
        raise invalid(f"This invoice is {invoice['status']}; it must be {' or '.join(statuses)}.", "invoice")
    return invoice


def _pay(ledger: Ledger, call: Call) -> JsonObject:
    invoice = _open(ledger, call, "draft", "open", "uncollectible")
    with ledger.on_clock_of(invoice["customer"]):
        if invoice["status"] == "draft":
            invoicing.finalize(ledger, invoice)
        method = call.params.text("payment_method")
        used = attached(ledger, method, invoice["customer"])["id"] if method else None
        if call.params.flag("paid_out_of_band"):
            invoicing.mark_paid(ledger, invoice)
            result = Outcome.SUCCEED
        else:
            result = invoicing.charge_invoice(ledger, invoice, used)
        subscription = owner_of(ledger, invoice)
        if subscription is not None and result is not Outcome.ASYNC:
            after_payment(ledger, subscription, invoice, paid=result is not Outcome.FAIL)
    if result is Outcome.FAIL:
        raise declined()
    return invoice


def _finalize(ledger: Ledger, call: Call) -> JsonObject:
    invoice = _open(ledger, call, "draft")
    with ledger.on_clock_of(invoice["customer"]):
        invoicing.finalize(ledger, invoice)
    return invoice


def _void(ledger: Ledger, call: Call) -> JsonObject:
    invoice = _open(ledger, call, "open", "uncollectible")
    with ledger.on_clock_of(invoice["customer"]):
        invoicing.close(ledger, invoice, "void")
        _relieve(ledger, invoice)
    return invoice


def _give_up(ledger: Ledger, call: Call) -> JsonObject:
    invoice = _open(ledger, call, "open")
    with ledger.on_clock_of(invoice["customer"]):
        invoicing.close(ledger, invoice, "uncollectible")
        _relieve(ledger, invoice)
    return invoice


def _relieve(ledger: Ledger, invoice: JsonObject) -> None:
    subscription = owner_of(ledger, invoice)
    if subscription is not None:
        after_giving_up(ledger, subscription, invoice)


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("invoice", call.id)


def _update(ledger: Ledger, call: Call) -> JsonObject:
    invoice = ledger.store.get("invoice", call.id)
    with ledger.changing(invoice, "invoice.updated"):
        invoice["metadata"] = call.params.metadata(invoice["metadata"])
        if "auto_advance" in call.params:
            invoice["auto_advance"] = call.params.flag("auto_advance")
    return invoice


def _list(ledger: Ledger, call: Call) -> JsonObject:
    found = matching(ledger.store.all("invoice"), call.params, "customer", "status", "collection_method")
    wanted = call.params.text("subscription")
    if wanted is not None:
        found = [one for one in found if (owner_of(ledger, one) or {}).get("id") == wanted]
    return page(found, call.params, call.path)


def _lines(ledger: Ledger, call: Call) -> JsonObject:
    invoice = ledger.store.get("invoice", call.id)
    return page(ledger.store.note("invoice_lines")[invoice["id"]], call.params, call.path, newest_first=False)


def _payments(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    found = matching(ledger.store.all("invoice_payment"), params, "invoice", "status")
    intent = params.hash("payment").text("payment_intent")
    if intent is not None:
        found = [one for one in found if one["payment"]["payment_intent"] == intent]
    return page(found, params, call.path)


def _payment(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("invoice_payment", call.id)


ROUTES: Routes = (
    ("GET", "/v1/invoices", _list),
    ("GET", "/v1/invoices/{id}", _retrieve),
    ("POST", "/v1/invoices/{id}", _update),
    ("GET", "/v1/invoices/{id}/lines", _lines),
    ("POST", "/v1/invoices/{id}/pay", _pay),
    ("POST", "/v1/invoices/{id}/finalize", _finalize),
    ("POST", "/v1/invoices/{id}/void", _void),
    ("POST", "/v1/invoices/{id}/mark_uncollectible", _give_up),
    ("GET", "/v1/invoice_payments", _payments),
    ("GET", "/v1/invoice_payments/{id}", _payment),
)
