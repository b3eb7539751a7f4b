"""Refunds: whole or in parts, that may fail later or be cancelled."""

from typing import Final

from sandbox.stripe.errors import invalid, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject

REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer")
STATUSES: Final = ("canceled", "failed", "pending", "requires_action", "succeeded")
GONE: Final = ("canceled", "failed")


def refunded(
    ledger: Ledger,
    charge: JsonObject,
    amount: int | None = None,
    *,
    reason: str | None = None,
    metadata: JsonObject | None = None,
    status: str | None = None,
) -> JsonObject:
    """Give back `amount`, or all that is left. `status` is what the refund is at first, `succeeded` by default.

    Raises:
        StripeError: 400 when the charge was not paid, or has less than that left.
    """
    left = _left(charge, amount)
    first = status or ledger.store.note("next_refund").pop("status", "succeeded")
    details = {"reference": None, "reference_status": "pending", "reference_type": "acquirer_reference_number"}
    refund = ledger.new(
        "refund",
        "re",
        amount=left if amount is None else amount,
        balance_transaction=ledger.store.new_id("txn"),
        charge=charge["id"],
        currency=charge["currency"],
        destination_details={"card": {"type": "refund"} | details, "type": "card"},
        metadata=metadata or {},
        payment_intent=charge["payment_intent"],
        reason=reason,
        receipt_number=None,
        source_transfer_reversal=None,
        status=first,
        transfer_reversal=None,
    )
    del refund["livemode"]
    if first == "pending":
        refund["pending_reason"] = "processing"
    _count(ledger, charge, refund["amount"])
    ledger.emit("refund.created", refund)
    ledger.emit("charge.refunded", charge)
    if first == "failed":
        refund["status"] = "pending"
        move(ledger, refund, "failed")
    return refund


def _left(charge: JsonObject, amount: int | None) -> int:
    left: int = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"]:
        raise invalid(f"Charge {charge['id']} was not paid and cannot be refunded.", "charge")
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid(message, "charge", "charge_already_refunded")
    if amount is not None and amount > left:
        raise invalid(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", "amount")
    return left


def _count(ledger: Ledger, charge: JsonObject, amount: int) -> None:
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    ledger.store.put(charge)


def move(ledger: Ledger, refund: JsonObject, status: str) -> None:
    """What the bank said later; a refund that failed or was cancelled leaves the charge's money where it was."""
    if status not in STATUSES:
        raise invalid(f"Invalid status: must be one of {', '.join(STATUSES)}", "status")
    was = refund["status"]
    refund["status"] = status
    refund.pop("pending_reason", None)
    if status == "failed":
        refund["failure_reason"] = "expired_or_canceled_card"
        refund["failure_balance_transaction"] = ledger.store.new_id("txn")
    if status in GONE and was not in GONE:
        _count(ledger, ledger.store.get("charge", refund["charge"]), -refund["amount"])
    ledger.store.put(refund)
    ledger.emit("charge.refund.updated", refund)
    ledger.emit("refund.updated", refund)
    if status == "failed":
        ledger.emit("refund.failed", refund)


def charge_named(ledger: Ledger, charge: str | None, intent: str | None) -> JsonObject:
    """The charge itself, or the successful one of a payment intent."""
    if charge is not None:
        return ledger.store.get("charge", charge, "charge")
    if intent is None:
        raise required("payment_intent")
    found = ledger.store.get("payment_intent", intent, "payment_intent")
    if found["latest_charge"] is None:
        raise invalid(f"This PaymentIntent ({intent}) does not have a successful charge to refund.", "payment_intent")
    return ledger.store.get("charge", found["latest_charge"], "payment_intent")


def _create(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    charge = charge_named(ledger, params.text("charge"), params.text("payment_intent"))
    with ledger.on_clock_of(charge["customer"]):
        amount = params.integer("amount", minimum=1)
        reason = params.choice("reason", REASONS)
        return refunded(ledger, charge, amount, reason=reason, metadata=params.metadata())


def _cancel(ledger: Ledger, call: Call) -> JsonObject:
    refund = ledger.store.get("refund", call.id)
    if refund["status"] not in ("pending", "requires_action"):
        raise invalid(f"Refund {call.id} has a status of {refund['status']} and cannot be canceled.")
    move(ledger, refund, "canceled")
    return refund


def _update(ledger: Ledger, call: Call) -> JsonObject:
    refund = ledger.store.get("refund", call.id)
    with ledger.changing(refund, "refund.updated"):
        refund["metadata"] = call.params.metadata(refund["metadata"])
    ledger.emit("charge.refund.updated", refund)
    return refund


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("refund", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("refund"), call.params, "charge", "payment_intent"), call.params, call.path)


def _of_charge(ledger: Ledger, call: Call) -> JsonObject:
    charge = ledger.store.get("charge", call.id)
    return page(ledger.store.where("refund", charge=charge["id"]), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/refunds", _create),
    ("GET", "/v1/refunds", _list),
    ("GET", "/v1/refunds/{id}", _retrieve),
    ("POST", "/v1/refunds/{id}", _update),
    ("POST", "/v1/refunds/{id}/cancel", _cancel),
    ("GET", "/v1/charges/{id}/refunds", _of_charge),
)
