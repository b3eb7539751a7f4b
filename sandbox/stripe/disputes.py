"""Disputes: opened by the customer's bank, answered with evidence, closed won, lost, or as a mere warning."""

from typing import Final

from sandbox.stripe.errors import invalid
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject

SECONDS_A_DAY: Final = 86400
CLOSED: Final = ("lost", "warning_closed", "won")
OPEN: Final = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
EVIDENCE: Final = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
)


def disputed(
    ledger: Ledger,
    charge: JsonObject,
    *,
    amount: int | None = None,
    reason: str = "fraudulent",
    status: str = "needs_response",
) -> JsonObject:
    """The bank takes the money back until the dispute is closed; a warning takes none."""
    if status not in OPEN:
        raise invalid(f"Invalid status: must be one of {', '.join(OPEN)}", "status")
    now, taken = ledger.clock.now(), charge["amount"] if amount is None else amount
    evidence: JsonObject = dict.fromkeys(EVIDENCE)
    case = {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"}
    dispute = ledger.new(
        "dispute",
        "du",
        amount=taken,
        balance_transactions=[],
        charge=charge["id"],
        currency=charge["currency"],
        enhanced_eligibility_types=[],
        evidence=evidence | {"enhanced_evidence": {}},
        evidence_details={
            "due_by": now + 7 * SECONDS_A_DAY,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        is_charge_refundable=status.startswith("warning"),
        metadata={},
        payment_intent=charge["payment_intent"],
        payment_method_details={"card": case, "type": "card"},
        reason=reason,
        status=status,
    )
    charge["disputed"] = True
    ledger.store.put(charge)
    ledger.emit("charge.dispute.created", dispute)
    if not status.startswith("warning"):
        ledger.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def closed(ledger: Ledger, dispute: JsonObject, status: str) -> None:
    """The bank has decided."""
    if status not in CLOSED:
        raise invalid(f"Invalid status: must be one of {', '.join(CLOSED)}", "status")
    if dispute["status"] in CLOSED:
        raise invalid(f"This dispute is already closed: {dispute['status']}.")
    dispute["status"] = status
    ledger.store.put(dispute)
    if status == "won":
        ledger.emit("charge.dispute.funds_reinstated", dispute)
    ledger.emit("charge.dispute.closed", dispute)


def _update(ledger: Ledger, call: Call) -> JsonObject:
    dispute, params = ledger.store.get("dispute", call.id), call.params
    with ledger.changing(dispute, "charge.dispute.updated"):
        dispute["metadata"] = params.metadata(dispute["metadata"])
        sent = params.hash("evidence")
        for name in sent.values:
            if name not in EVIDENCE:
                raise invalid(f"Received unknown parameter: {sent.named(name)}", sent.named(name))
            dispute["evidence"][name] = sent.text(name)
        if sent.values and dispute["status"] not in CLOSED:
            details = dispute["evidence_details"]
            dispute["status"] = dispute["status"].replace("needs_response", "under_review")
            dispute["evidence_details"] = details | {"has_evidence": True, "submission_count": 1}
    text = dispute["evidence"]["uncategorized_text"]
    if dispute["status"] not in CLOSED and text in ("winning_evidence", "losing_evidence"):
        closed(ledger, dispute, "won" if text == "winning_evidence" else "lost")
    return dispute


def _close(ledger: Ledger, call: Call) -> JsonObject:
    dispute = ledger.store.get("dispute", call.id)
    closed(ledger, dispute, "lost")
    return dispute


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("dispute", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("dispute"), call.params, "charge", "payment_intent"), call.params, call.path)


ROUTES: Routes = (
    ("GET", "/v1/disputes", _list),
    ("GET", "/v1/disputes/{id}", _retrieve),
    ("POST", "/v1/disputes/{id}", _update),
    ("POST", "/v1/disputes/{id}/close", _close),
)
