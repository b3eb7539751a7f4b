"""What follows when a customer pays, fails to, or lets a session expire."""

from enum import StrEnum

from sandbox.stripe import invoicing
from sandbox.stripe.amounts import cost
from sandbox.stripe.charging import attempt, new_intent, settle
from sandbox.stripe.customers import new_customer
from sandbox.stripe.discounts import new_discount
from sandbox.stripe.errors import declined, invalid
from sandbox.stripe.invoice_drafts import Line, new_invoice
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.params import Params
from sandbox.stripe.payment_methods import Outcome, attached, new_method
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscribed_items import Ordered
from sandbox.stripe.subscription_start import Order, begin
from sandbox.stripe.subscription_state import after_payment
from sandbox.stripe.subscriptions import first_payment


class Act(StrEnum):
    """What the customer (`pay`, `fail`), their bank later (`async_*`), or time (`expire`) does.

    `pay_async` completes the session unpaid: the money is on its way.
    """

    PAY = "pay"
    FAIL = "fail"
    PAY_ASYNC = "pay_async"
    ASYNC_SUCCEED = "async_succeed"
    ASYNC_FAIL = "async_fail"
    EXPIRE = "expire"


def act(ledger: Ledger, session: JsonObject, what: Act, *, method: str | None = None, email: str | None = None) -> None:
    """Play `what` on the session.

    Raises:
        StripeError: 400 when the session is not in a state for it; 402 when the card was declined.
    """
    with ledger.on_clock_of(session["customer"]):
        if what in (Act.ASYNC_SUCCEED, Act.ASYNC_FAIL):
            _settle_async(ledger, session, paid=what is Act.ASYNC_SUCCEED)
            return
        if session["status"] != "open":
            raise invalid(f"This Checkout Session is no longer active: it is {session['status']}.")
        if what is Act.EXPIRE:
            expire(ledger, session)
        elif what is Act.FAIL:
            _decline(ledger, session, email)
        else:
            asked = Outcome.ASYNC if what is Act.PAY_ASYNC else Outcome.SUCCEED
            _complete(ledger, session, asked, method, email)


def expire(ledger: Ledger, session: JsonObject) -> None:
    """Nobody paid in time."""
    session |= {"status": "expired", "url": None}
    ledger.store.put(session)
    ledger.emit("checkout.session.expired", session)


def _complete(ledger: Ledger, session: JsonObject, asked: Outcome, method: str | None, email: str | None) -> None:
    customer = _customer(ledger, session, email)
    free = session["amount_total"] == 0
    if not free or session["mode"] == "setup" or session["payment_method_collection"] == "always":
        method = _keep_method(ledger, session, customer, method)
    if session["mode"] == "subscription":
        result = _subscribe(ledger, session, customer, method, asked)
    elif session["mode"] == "payment" and not free:
        result = _buy(ledger, session, method, asked)
    else:
        result = Outcome.SUCCEED
    paid = "unpaid" if result is Outcome.ASYNC else "no_payment_required" if free else "paid"
    session |= {"status": "complete", "payment_status": paid, "url": None}
    ledger.store.put(session)
    ledger.emit("checkout.session.completed", session)


def _customer(ledger: Ledger, session: JsonObject, email: str | None) -> JsonObject | None:
    customer = ledger.store.find("customer", session["customer"])
    address = email or session["customer_email"] or "customer@example.com"
    if customer is None and session["customer_creation"] == "always":
        customer = new_customer(ledger, Params({"email": address}))
        session["customer"] = customer["id"]
    names = ("address", "business_name", "individual_name", "name", "phone", "tax_ids")
    blank: JsonObject = dict.fromkeys(names) | {"tax_exempt": "none"}
    shown = customer["email"] if customer else None
    session["customer_details"] = blank | {"email": shown or address, "name": customer and customer["name"]}
    return customer


def _keep_method(ledger: Ledger, session: JsonObject, customer: JsonObject | None, method: str | None) -> str:
    kind = session["payment_method_types"][0]
    details = ledger.store.find("payment_method", method) or new_method(
        ledger, kind=kind, email=session["customer_details"]["email"]
    )
    if customer is not None and session["mode"] != "payment":
        attached(ledger, details["id"], customer["id"])
    name: str = details["id"]
    return name


def _subscribe(
    ledger: Ledger, session: JsonObject, customer: JsonObject | None, method: str | None, asked: Outcome
) -> Outcome:
    hidden = ledger.store.note("session_order")[session["id"]]
    lines = [Ordered(**line) for line in hidden["lines"]]
    if customer is None:
        raise invalid("A subscription needs a customer.", "customer")
    subscription, invoice = begin(
        ledger,
        Order(
            customer["id"],
            [one for one in lines if one.price["recurring"]],
            [one for one in lines if not one.price["recurring"]],
            metadata=hidden["subscription_metadata"],
            trial_end=hidden["trial_end"],
            method=method,
            description=hidden["description"],
            coupons=[(coupon, code) for coupon, code in hidden["coupons"]],
            missing_payment_method=hidden["missing_payment_method"],
            billing_mode=hidden["billing_mode"],
        ),
    )
    session |= {"subscription": subscription["id"], "invoice": invoice["id"]}
    if ledger.settings.created_status == "active" and subscription["status"] == "incomplete":
        subscription["status"] = "active"
    ledger.emit("customer.subscription.created", subscription)
    return first_payment(ledger, subscription, invoice, outcome=asked)


def _buy(ledger: Ledger, session: JsonObject, method: str | None, asked: Outcome) -> Outcome:
    hidden = ledger.store.note("session_order")[session["id"]]
    wants_invoice = session["invoice_creation"]["enabled"] and session["customer"]
    if wants_invoice:
        now = ledger.clock.now()
        lines = [
            Line(one.price, one.quantity, cost(ledger, one.price, one.quantity), now, now)
            for one in (Ordered(**line) for line in hidden["lines"])
        ]
        invoice = new_invoice(ledger, session["customer"], lines, "manual")
        invoicing.finalize(ledger, invoice)
        result = invoicing.charge_invoice(ledger, invoice, method, asked)
        intent = invoicing.intent_of(ledger, invoice)
        session |= {"invoice": invoice["id"], "payment_intent": intent and intent["id"]}
        return result
    intent = _intent(ledger, session, hidden)
    for coupon, code in hidden["coupons"]:
        new_discount(ledger, coupon, code, session["customer"], session=session["id"])
    return attempt(ledger, intent, method, asked)


def _intent(ledger: Ledger, session: JsonObject, hidden: JsonObject) -> JsonObject:
    known = ledger.store.find("payment_intent", session["payment_intent"])
    intent = known or new_intent(
        ledger,
        session["amount_total"],
        session["currency"],
        session["customer"],
        description=hidden["description"],
        metadata=hidden["intent_metadata"],
        payment_method_types=session["payment_method_types"],
        receipt_email=session["customer_email"],
    )
    session["payment_intent"] = intent["id"]
    intent["customer"] = session["customer"]
    return intent


def _decline(ledger: Ledger, session: JsonObject, email: str | None) -> None:
    """A declined card leaves the session open; in payment mode its intent shows the attempt."""
    if email and not session["customer_email"]:
        session["customer_email"] = email
    if session["mode"] == "payment" and session["amount_total"] > 0:
        method = new_method(ledger, token="tok_chargeDeclined")  # noqa: S106
        intent = _intent(ledger, session, ledger.store.note("session_order")[session["id"]])
        attempt(ledger, intent, method["id"], Outcome.FAIL)
    ledger.store.put(session)
    raise declined()


def _settle_async(ledger: Ledger, session: JsonObject, *, paid: bool) -> None:
    if session["status"] != "complete" or session["payment_status"] != "unpaid":
        raise invalid("This Checkout Session waits for no asynchronous payment.")
    invoice = ledger.store.find("invoice", session["invoice"])
    intent = ledger.store.find("payment_intent", session["payment_intent"])
    subscription = ledger.store.find("subscription", session["subscription"])
    if invoice is not None:
        invoicing.settle_invoice(ledger, invoice, paid=paid)
    elif intent is not None:
        settle(ledger, intent, paid=paid)
    if subscription is not None and invoice is not None:
        after_payment(ledger, subscription, invoice, paid=paid)
    if paid:
        session["payment_status"] = "paid"
    ledger.store.put(session)
    ledger.emit(f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)
