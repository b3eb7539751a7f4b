"""Taking money: a payment intent, its charges, and what each attempt announces."""

from typing import Any

from sandbox.stripe.ledger import Ledger
from sandbox.stripe.payment_methods import NO_ADDRESS, Outcome, outcome_for
from sandbox.stripe.shapes import JsonObject

DECLINED = "Your card was declined."


def new_intent(ledger: Ledger, amount: int, currency: str, customer: str | None, **fields: Any) -> JsonObject:
    """A payment intent that waits for a payment method; announced. `fields` go over the defaults."""
    intent_id = ledger.store.new_id("pi")
    defaults: JsonObject = {
        "id": intent_id,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{ledger.store.new_id('x')[2:]}",
        "confirmation_method": "automatic",
        "currency": currency,
        "customer": customer,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    intent = ledger.new("payment_intent", "pi", **(defaults | fields))
    ledger.emit("payment_intent.created", intent)
    return intent


def attempt(ledger: Ledger, intent: JsonObject, method: str | None, outcome: Outcome | None = None) -> Outcome:
    """Charge the intent once; says what came of it and announces it."""
    result = outcome or outcome_for(ledger, intent["customer"], method)
    charge = _new_charge(ledger, intent, method)
    intent |= {"payment_method": method, "latest_charge": charge["id"]}
    if result is Outcome.ASYNC:
        charge["status"], intent["status"] = "pending", "processing"
        ledger.store.put(intent)
        ledger.emit("charge.pending", charge)
        ledger.emit("payment_intent.processing", intent)
        return result
    settle(ledger, intent, paid=result is not Outcome.FAIL)
    return result


def settle(ledger: Ledger, intent: JsonObject, *, paid: bool) -> None:
    """End an attempt; for asynchronous methods that is days later."""
    charge = ledger.store.get("charge", intent["latest_charge"])
    if paid:
        charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": charge["amount"]}
        charge["balance_transaction"] = ledger.store.new_id("txn")
        charge["outcome"] = _verdict("authorized", "approved_by_network", "Payment complete.")
        intent |= {"status": "succeeded", "amount_received": intent["amount"], "last_payment_error": None}
    else:
        charge |= {"status": "failed", "paid": False, "failure_code": "card_declined", "failure_message": DECLINED}
        charge["outcome"] = _verdict("issuer_declined", "declined_by_network", "The bank declined.")
        error = {"code": "card_declined", "decline_code": "generic_decline", "message": DECLINED}
        intent |= {"status": "requires_payment_method", "payment_method": None}
        intent["last_payment_error"] = error | {"charge": charge["id"], "type": "card_error"}
    ledger.store.put(charge)
    ledger.store.put(intent)
    ledger.emit("charge.succeeded" if paid else "charge.failed", charge)
    ledger.emit("payment_intent.succeeded" if paid else "payment_intent.payment_failed", intent)


def _verdict(kind: str, status: str, message: str) -> JsonObject:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": status,
        "reason": None if kind == "authorized" else "generic_decline",
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": message,
        "type": kind,
    }


def _new_charge(ledger: Ledger, intent: JsonObject, method: str | None) -> JsonObject:
    used = ledger.store.find("payment_method", method) or {"type": intent["payment_method_types"][0]}
    customer = ledger.store.find("customer", intent["customer"]) or {}
    details = used.get("card")
    shown = {name: details[name] for name in ("brand", "country", "exp_month", "exp_year", "last4")} if details else {}
    charge = ledger.new(
        "charge",
        "ch" if used["type"] == "card" else "py",
        amount=intent["amount"],
        amount_captured=0,
        amount_refunded=0,
        application=None,
        application_fee=None,
        application_fee_amount=None,
        balance_transaction=None,
        billing_details={
            "address": NO_ADDRESS,
            "email": customer.get("email"),
            "name": customer.get("name"),
            "phone": None,
            "tax_id": None,
        },
        calculated_statement_descriptor="SANDBOX",
        captured=False,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        disputed=False,
        failure_balance_transaction=None,
        failure_code=None,
        failure_message=None,
        fraud_details={},
        metadata=dict(intent["metadata"]),
        on_behalf_of=None,
        outcome=None,
        paid=False,
        payment_intent=intent["id"],
        payment_method=method,
        payment_method_details={"type": used["type"]} | ({"card": shown} if shown else {}),
        radar_options={},
        receipt_email=intent["receipt_email"],
        receipt_number=None,
        receipt_url=None,
        refunded=False,
        review=None,
        shipping=intent["shipping"],
        source_transfer=None,
        statement_descriptor=None,
        statement_descriptor_suffix=None,
        status="pending",
        transfer_data=None,
        transfer_group=None,
    )
    ledger.store.note("charges_of").setdefault(intent["id"], []).append(charge["id"])
    return charge
