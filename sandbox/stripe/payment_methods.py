"""Payment methods and how they behave when charged; Stripe's test names (`pm_card_visa`, `tok_…`) work."""

from enum import StrEnum
from typing import Final

from sandbox.stripe.errors import missing
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject


class Outcome(StrEnum):
    """What a charge does."""

    SUCCEED = "succeed"
    FAIL = "fail"
    ASYNC = "async"
    DISPUTE = "dispute"


FAILING: Final = ("declined", "customerfail", "insufficientfunds", "expired")
TEST_PREFIXES: Final = ("pm_card_", "tok_", "card_", "pm_usBank")
NO_ADDRESS: Final = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def new_method(ledger: Ledger, *, kind: str = "card", token: str = "", email: str | None = None) -> JsonObject:
    """A payment method; `token` is the test name that says how it behaves."""
    last4 = {Outcome.FAIL: "0341", Outcome.DISPUTE: "0259"}.get(_behaviour(token), "4242")
    details: JsonObject = {"last4": last4}
    if kind == "card":
        details = {
            "brand": "visa",
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": "visa",
            "exp_month": 12,
            "exp_year": 2040,
            "fingerprint": ledger.store.new_id("x", 16)[2:],
            "funding": "credit",
            "generated_from": None,
            "last4": last4,
            "networks": {"available": ["visa"], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        }
    method = ledger.new(
        "payment_method",
        "pm",
        allow_redisplay="unspecified",
        billing_details={"address": NO_ADDRESS, "email": email, "name": None, "phone": None, "tax_id": None},
        customer=None,
        metadata={},
        type=kind,
    )
    method[kind] = details
    ledger.store.note("method_outcomes")[method["id"]] = _behaviour(token)
    return method


def _behaviour(token: str) -> Outcome:
    name = token.lower()
    if "dispute" in name:
        return Outcome.DISPUTE
    return Outcome.FAIL if any(word in name for word in FAILING) else Outcome.SUCCEED


def resolved(ledger: Ledger, name: str) -> JsonObject:
    """The method called `name`; Stripe's test names make a new one."""
    found = ledger.store.find("payment_method", name)
    if found is None and name.startswith(TEST_PREFIXES):
        return new_method(ledger, token=name)
    if found is None:
        raise missing("PaymentMethod", name, "payment_method", status=400)
    return found


def attached(ledger: Ledger, name: str, customer_id: str) -> JsonObject:
    """The method, made the customer's."""
    method = resolved(ledger, name)
    if method["customer"] != customer_id:
        method["customer"] = customer_id
        ledger.store.put(method)
        ledger.emit("payment_method.attached", method)
    return method


def default_method(ledger: Ledger, customer_id: str | None, subscription: JsonObject | None = None) -> str | None:
    """What an automatic charge takes: the subscription's, else the customer's method."""
    own = (subscription or {}).get("default_payment_method")
    customer = ledger.store.find("customer", customer_id)
    kept = customer["invoice_settings"]["default_payment_method"] if customer else None
    chosen: str | None = own or kept
    return chosen


def outcome_for(ledger: Ledger, customer_id: str | None, method_id: str | None) -> Outcome:
    """What charging does now: what the control route set for the customer, else how the method behaves."""
    forced = ledger.store.note("customer_outcomes").get(customer_id or "")
    return Outcome(forced or ledger.store.note("method_outcomes").get(method_id or "", Outcome.SUCCEED))


def _create(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    kind = params.need("type")
    card = params.hash("card")
    token = card.text("token") or ("tok_chargeDeclined" if (card.text("number") or "").endswith("0341") else "")
    method = new_method(ledger, kind=kind, token=token or "", email=params.hash("billing_details").text("email"))
    method["metadata"] = params.metadata()
    return method


def _attach(ledger: Ledger, call: Call) -> JsonObject:
    customer = ledger.store.get("customer", call.params.need("customer"), "customer")
    return attached(ledger, call.id, customer["id"])


def _detach(ledger: Ledger, call: Call) -> JsonObject:
    method = ledger.store.get("payment_method", call.id)
    for customer in ledger.store.where("customer", id=method["customer"]):
        if customer["invoice_settings"]["default_payment_method"] == method["id"]:
            customer["invoice_settings"]["default_payment_method"] = None
    method["customer"] = None
    ledger.store.put(method)
    ledger.emit("payment_method.detached", method)
    return method


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("payment_method", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    found = matching(ledger.store.all("payment_method"), call.params, "customer", "type")
    return page(found, call.params, call.path)


def _of_customer(ledger: Ledger, call: Call) -> JsonObject:
    found = ledger.store.where("payment_method", customer=ledger.store.get("customer", call.id)["id"])
    return page(matching(found, call.params, "type"), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/payment_methods", _create),
    ("GET", "/v1/payment_methods", _list),
    ("GET", "/v1/payment_methods/{id}", _retrieve),
    ("POST", "/v1/payment_methods/{id}/attach", _attach),
    ("POST", "/v1/payment_methods/{id}/detach", _detach),
    ("GET", "/v1/customers/{id}/payment_methods", _of_customer),
)
