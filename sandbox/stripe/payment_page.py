"""Paying a session over the API, by the routes that the `stripe` CLI's triggers call."""

from sandbox.stripe.checkout_completion import Act, act
from sandbox.stripe.errors import declined
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.payment_methods import Outcome, outcome_for
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("checkout.session", call.id)


def _confirm(ledger: Ledger, call: Call) -> JsonObject:
    session = ledger.store.get("checkout.session", call.id)
    method = ledger.store.get("payment_method", call.params.need("payment_method"), "payment_method")
    outcome = outcome_for(ledger, session["customer"], method["id"])
    if outcome is Outcome.FAIL:
        raise declined()
    delayed = method["type"] in ("bacs_debit", "sepa_debit", "us_bank_account")
    email = method["billing_details"]["email"]
    act(ledger, session, Act.PAY_ASYNC if delayed else Act.PAY, method=method["id"], email=email)
    return session


ROUTES: Routes = (
    ("GET", "/v1/payment_pages/{id}", _retrieve),
    ("POST", "/v1/payment_pages/{id}/confirm", _confirm),
)
