"""Customers: create, change, delete, list."""

from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.payment_methods import attached
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscription_state import cancel_now

PLAIN = ("email", "name", "phone", "description")


def new_customer(ledger: Ledger, params: Params) -> JsonObject:
    """A customer with `params`, announced."""
    clock = params.text("test_clock")
    frozen = ledger.store.get("test_helpers.test_clock", clock, "test_clock") if clock else None
    customer = ledger.new(
        "customer",
        "cus",
        **{name: params.text(name) for name in PLAIN},
        address=params.hash("address").values or None,
        balance=params.integer("balance", 0),
        currency=None,
        default_source=None,
        delinquent=False,
        discount=None,
        invoice_prefix=ledger.store.new_id("x", 8)[2:].upper(),
        invoice_settings={
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        metadata=params.metadata(),
        next_invoice_sequence=1,
        preferred_locales=params.texts("preferred_locales"),
        shipping=params.hash("shipping").values or None,
        tax_exempt="none",
        test_clock=clock,
    )
    if frozen is not None:
        customer["created"] = frozen["frozen_time"]
    with ledger.on_clock_of(customer["id"]):
        ledger.emit("customer.created", customer)
    return customer


def _create(ledger: Ledger, call: Call) -> JsonObject:
    customer = new_customer(ledger, call.params)
    _set_payment_method(ledger, customer, call.params)
    return customer


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    gone: JsonObject | None = ledger.store.note("deleted").get(call.id)
    return gone or ledger.store.get("customer", call.id)


def _update(ledger: Ledger, call: Call) -> JsonObject:
    customer, params = ledger.store.get("customer", call.id), call.params
    with ledger.changing(customer, "customer.updated"):
        customer |= {name: params.text(name) for name in PLAIN if name in params}
        customer["metadata"] = params.metadata(customer["metadata"])
        customer["balance"] = params.integer("balance", customer["balance"])
        for name in ("address", "shipping"):
            if name in params:
                customer[name] = params.hash(name).values or None
        _set_payment_method(ledger, customer, params)
    return customer


def _set_payment_method(ledger: Ledger, customer: JsonObject, params: Params) -> None:
    method = params.hash("invoice_settings").text("default_payment_method") or params.text("payment_method")
    token = params.text("source")
    if method or token:
        method = attached(ledger, method or token or "", customer["id"])["id"]
        if params.hash("invoice_settings").given("default_payment_method") or token:
            customer["invoice_settings"]["default_payment_method"] = method


def _delete(ledger: Ledger, call: Call) -> JsonObject:
    customer = ledger.store.get("customer", call.id)
    with ledger.on_clock_of(customer["id"]):
        for subscription in ledger.store.where("subscription", customer=customer["id"]):
            if subscription["status"] not in ("canceled", "incomplete_expired"):
                cancel_now(ledger, subscription, reason="cancellation_requested")
        ledger.emit("customer.deleted", customer)
    ledger.store.remove("customer", customer["id"])
    gone = {"id": customer["id"], "object": "customer", "deleted": True}
    ledger.store.note("deleted")[customer["id"]] = gone
    return gone


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("customer"), call.params, "email", "test_clock"), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/customers", _create),
    ("GET", "/v1/customers", _list),
    ("GET", "/v1/customers/{id}", _retrieve),
    ("POST", "/v1/customers/{id}", _update),
    ("DELETE", "/v1/customers/{id}", _delete),
)
