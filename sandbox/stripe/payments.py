"""Payment intents and charges over the API."""

from sandbox.stripe.charging import attempt, new_intent
from sandbox.stripe.disputes import disputed
from sandbox.stripe.errors import declined, invalid
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.payment_methods import Outcome, attached, default_method, resolved
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject


def _create(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    customer = params.text("customer")
    if customer is not None:
        ledger.store.get("customer", customer, "customer")
    amount = params.integer("amount", minimum=1)
    if amount is None:
        params.need("amount")
    intent = new_intent(
        ledger,
        amount or 0,
        params.need("currency").lower(),
        customer,
        description=params.text("description"),
        metadata=params.metadata(),
        payment_method_types=params.texts("payment_method_types") or ["card"],
        receipt_email=params.text("receipt_email"),
    )
    if params.given("payment_method"):
        intent |= {"payment_method": _method(ledger, intent, params), "status": "requires_confirmation"}
        ledger.store.put(intent)
    if params.flag("confirm"):
        _charge(ledger, intent, params)
    return intent


def _method(ledger: Ledger, intent: JsonObject, params: Params) -> str | None:
    name = params.text("payment_method")
    if name is None:
        chosen: str | None = intent["payment_method"] or default_method(ledger, intent["customer"])
        return chosen
    owner = intent["customer"]
    method: str = (attached(ledger, name, owner) if owner else resolved(ledger, name))["id"]
    return method


def _charge(ledger: Ledger, intent: JsonObject, params: Params) -> None:
    result = attempt(ledger, intent, _method(ledger, intent, params))
    if result is Outcome.FAIL:
        raise declined(payment_intent=intent)
    if result is Outcome.DISPUTE:
        disputed(ledger, ledger.store.get("charge", intent["latest_charge"]))


def _confirm(ledger: Ledger, call: Call) -> JsonObject:
    intent = ledger.store.get("payment_intent", call.id)
    if intent["status"] not in ("requires_confirmation", "requires_payment_method", "requires_action"):
        message = f"This PaymentIntent's status is {intent['status']}; it cannot be confirmed."
        raise invalid(message, code="payment_intent_unexpected_state")
    _charge(ledger, intent, call.params)
    return intent


def _cancel(ledger: Ledger, call: Call) -> JsonObject:
    intent = ledger.store.get("payment_intent", call.id)
    if intent["status"] in ("succeeded", "canceled"):
        message = f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        raise invalid(message, code="payment_intent_unexpected_state")
    intent |= {"status": "canceled", "canceled_at": ledger.clock.now()}
    intent["cancellation_reason"] = call.params.text("cancellation_reason")
    ledger.store.put(intent)
    ledger.emit("payment_intent.canceled", intent)
    return intent


def _update(ledger: Ledger, call: Call) -> JsonObject:
    intent, params = ledger.store.get("payment_intent", call.id), call.params
    intent["metadata"] = params.metadata(intent["metadata"])
    if params.given("payment_method"):
        intent["payment_method"] = _method(ledger, intent, params)
    return ledger.store.put(intent)


def _create_charge(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    source = params.text("source") or "tok_visa"
    values = {name: value for name, value in params.values.items() if name != "source"}
    intent = _create(ledger, Call(Params(values | {"payment_method": source}), {}, "/v1/payment_intents"))
    _charge(ledger, intent, Params({}))
    return ledger.store.get("charge", intent["latest_charge"])


def _update_charge(ledger: Ledger, call: Call) -> JsonObject:
    charge = ledger.store.get("charge", call.id)
    with ledger.changing(charge, "charge.updated"):
        charge["metadata"] = call.params.metadata(charge["metadata"])
        if "description" in call.params:
            charge["description"] = call.params.text("description")
    return charge


def _intent(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("payment_intent", call.id)


def _intents(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("payment_intent"), call.params, "customer"), call.params, call.path)


def _one_charge(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("charge", call.id)


def _charges(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("charge"), call.params, "customer", "payment_intent"), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/payment_intents", _create),
    ("GET", "/v1/payment_intents", _intents),
    ("GET", "/v1/payment_intents/{id}", _intent),
    ("POST", "/v1/payment_intents/{id}", _update),
    ("POST", "/v1/payment_intents/{id}/confirm", _confirm),
    ("POST", "/v1/payment_intents/{id}/cancel", _cancel),
    ("POST", "/v1/charges", _create_charge),
    ("GET", "/v1/charges", _charges),
    ("GET", "/v1/charges/{id}", _one_charge),
    ("POST", "/v1/charges/{id}", _update_charge),
)
