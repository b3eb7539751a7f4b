"""Checkout sessions: made, listed, expired. What happens when the customer acts is in `checkout_completion`."""

from typing import Final

from sandbox.stripe.amounts import cost
from sandbox.stripe.checkout_completion import expire
from sandbox.stripe.discounts import chosen_coupons, coupon_amount
from sandbox.stripe.errors import invalid, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject, copied
from sandbox.stripe.subscribed_items import Ordered
from sandbox.stripe.subscription_start import BILLING_MODES
from sandbox.stripe.subscriptions import ordered, trial_end_of

MODES: Final = ("payment", "setup", "subscription")
SECONDS_A_DAY: Final = 86400
SHORTEST: Final = 30 * 60


UNSET: Final[JsonObject] = {
    "adaptive_pricing": None,
    "after_expiration": None,
    "client_secret": None,
    "collected_information": None,
    "consent": None,
    "consent_collection": None,
    "currency_conversion": None,
    "custom_fields": [],
    "invoice": None,
    "origin_context": None,
    "payment_intent": None,
    "payment_link": None,
    "payment_method_configuration_details": None,
    "permissions": None,
    "recovered_from": None,
    "saved_payment_method_options": None,
    "setup_intent": None,
    "shipping_address_collection": None,
    "shipping_cost": None,
    "shipping_options": [],
    "status": "open",
    "submit_type": None,
    "subscription": None,
    "ui_mode": "hosted_page",
    "wallet_options": None,
}
"""What every session begins with."""


def _create(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    customer = params.text("customer")
    if customer is not None:
        ledger.store.get("customer", customer, "customer")
    if customer is not None and params.given("customer_email"):
        raise invalid("You may only specify one of these parameters: customer, customer_email.", "customer")
    with ledger.on_clock_of(customer):
        return _new_session(ledger, params, customer)


def _new_session(ledger: Ledger, params: Params, customer: str | None) -> JsonObject:
    mode = params.choice("mode", MODES, "payment")
    lines = [ordered(ledger, entry) for entry in params.hashes("line_items")]
    _check(mode, lines, params)
    now = ledger.clock.now()
    session_id = ledger.store.new_id("cs_test", 58)
    coupons = chosen_coupons(ledger, params)
    if coupons and params.flag("allow_promotion_codes"):
        message = "You may only specify one of these parameters: allow_promotion_codes, discounts."
        raise invalid(message, "allow_promotion_codes")
    trial_end = trial_end_of(ledger, params.hash("subscription_data"))
    items = _items(ledger, lines, coupons, free=trial_end is not None)
    ledger.store.note("session_lines")[session_id] = items
    ledger.store.note("session_order")[session_id] = _order(params, lines, coupons, trial_end)
    email = params.text("customer_email")
    session = ledger.new(
        "checkout.session",
        "cs_test",
        id=session_id,
        amount_subtotal=sum(item["amount_subtotal"] for item in items),
        amount_total=sum(item["amount_total"] for item in items),
        automatic_tax={"enabled": False, "liability": None, "provider": None, "status": None},
        currency=lines[0].price["currency"] if lines else params.text("currency", "usd"),
        custom_text=dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        customer=customer,
        customer_details=_details(ledger, customer, email),
        customer_email=email,
        discounts=[{"coupon": None if code else coupon, "promotion_code": code} for coupon, code in coupons],
        expires_at=_expiry(params, now),
        mode=mode,
        payment_method_options={"card": {"request_three_d_secure": "automatic"}},
        phone_number_collection={"enabled": False},
        total_details={
            "amount_discount": sum(item["amount_discount"] for item in items),
            "amount_shipping": 0,
            "amount_tax": 0,
        },
        url=f"{ledger.base_url}/c/pay/{session_id}",
        **copied(UNSET),
        **_as_sent(params),
        **_by_mode(params, mode, customer),
    )
    return ledger.store.put(session)


def _as_sent(params: Params) -> JsonObject:
    texts = ("billing_address_collection", "cancel_url", "client_reference_id", "locale", "success_url")
    return {name: params.text(name) for name in texts} | {
        "allow_promotion_codes": params.flag("allow_promotion_codes") or None,
        "metadata": params.metadata(),
        "payment_method_types": params.texts("payment_method_types") or ["card"],
    }


def _by_mode(params: Params, mode: str | None, customer: str | None) -> JsonObject:
    payment = mode == "payment"
    creation = params.choice("customer_creation", ("always", "if_required"), "if_required" if payment else "always")
    invoice = {"enabled": params.hash("invoice_creation").flag("enabled"), "invoice_data": copied(_INVOICE_DATA)}
    return {
        "customer_creation": None if customer else creation,
        "invoice_creation": invoice if payment else None,
        "payment_method_collection": None if payment else params.text("payment_method_collection", "always"),
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
    }


_INVOICE_DATA: Final[JsonObject] = {
    "account_tax_ids": None,
    "custom_fields": None,
    "description": None,
    "footer": None,
    "issuer": None,
    "metadata": {},
    "rendering_options": None,
}


def _check(mode: str | None, lines: list[Ordered], params: Params) -> None:
    if mode != "setup" and not lines:
        raise required("line_items")
    if not params.given("success_url") and not params.given("return_url"):
        raise required("success_url")
    recurring = [one for one in lines if one.price["recurring"]]
    if mode == "payment" and recurring:
        message = (
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use "
            "only one-time prices."
        )
        raise invalid(message, "mode")
    if mode == "subscription" and not recurring:
        message = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise invalid(message, "mode")
    for name, wanted in (("subscription_data", "subscription"), ("payment_intent_data", "payment")):
        if params.given(name) and mode != wanted:
            raise invalid(f"You can not pass `{name}` in `{mode}` mode.", name)


def _expiry(params: Params, now: int) -> int:
    expiry = params.integer("expires_at")
    if expiry is None:
        return now + SECONDS_A_DAY
    if not now + SHORTEST - 60 <= expiry <= now + SECONDS_A_DAY + 60:
        message = "The `expires_at` timestamp must be 30 minutes to 24 hours from Checkout Session creation."
        raise invalid(message, "expires_at")
    return expiry


def _details(ledger: Ledger, customer_id: str | None, email: str | None) -> JsonObject | None:
    customer = ledger.store.find("customer", customer_id)
    if customer is None and email is None:
        return None
    return {
        "address": None,
        "business_name": None,
        "email": customer["email"] if customer else email,
        "individual_name": None,
        "name": customer["name"] if customer else None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def _items(
    ledger: Ledger, lines: list[Ordered], coupons: list[tuple[str, str | None]], *, free: bool
) -> list[JsonObject]:
    left = sum(cost(ledger, one.price, one.quantity) for one in lines)
    off = 0
    for coupon, _ in coupons:
        off += min(left - off, coupon_amount(ledger, coupon, left - off))
    items = []
    for one in lines:
        amount = 0 if free and one.price["recurring"] else cost(ledger, one.price, one.quantity)
        mine = min(off, amount)
        off -= mine
        product = ledger.store.get("product", one.price["product"])
        items.append(
            {
                "id": ledger.store.new_id("li"),
                "object": "item",
                "amount_discount": mine,
                "amount_subtotal": amount,
                "amount_tax": 0,
                "amount_total": amount - mine,
                "currency": one.price["currency"],
                "description": product["name"],
                "metadata": dict(one.metadata),
                "price": one.price,
                "quantity": one.quantity,
            }
        )
    return items


def _order(
    params: Params, lines: list[Ordered], coupons: list[tuple[str, str | None]], trial_end: int | None
) -> JsonObject:
    """What completion needs and the session does not show."""
    subscription, intent = params.hash("subscription_data"), params.hash("payment_intent_data")
    end_behaviour = subscription.hash("trial_settings").hash("end_behavior")
    return {
        "billing_mode": subscription.hash("billing_mode").choice("type", tuple(BILLING_MODES), "flexible"),
        "coupons": [list(entry) for entry in coupons],
        "description": subscription.text("description") or intent.text("description"),
        "intent_metadata": intent.metadata(),
        "lines": [{"price": one.price, "quantity": one.quantity, "metadata": one.metadata} for one in lines],
        "missing_payment_method": end_behaviour.text("missing_payment_method") or "create_invoice",
        "subscription_metadata": subscription.metadata(),
        "trial_end": trial_end,
    }


def _expire(ledger: Ledger, call: Call) -> JsonObject:
    session = ledger.store.get("checkout.session", call.id)
    if session["status"] != "open":
        raise invalid('Only Checkout Sessions with a status in ["open"] can be expired.')
    with ledger.on_clock_of(session["customer"]):
        expire(ledger, session)
    return session


def _update(ledger: Ledger, call: Call) -> JsonObject:
    session = ledger.store.get("checkout.session", call.id)
    session["metadata"] = call.params.metadata(session["metadata"])
    return ledger.store.put(session)


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("checkout.session", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    names = ("customer", "payment_intent", "status", "subscription")
    return page(matching(ledger.store.all("checkout.session"), call.params, *names), call.params, call.path)


def _line_items(ledger: Ledger, call: Call) -> JsonObject:
    session = ledger.store.get("checkout.session", call.id)
    return page(ledger.store.note("session_lines")[session["id"]], call.params, call.path, newest_first=False)


ROUTES: Routes = (
    ("POST", "/v1/checkout/sessions", _create),
    ("GET", "/v1/checkout/sessions", _list),
    ("GET", "/v1/checkout/sessions/{id}", _retrieve),
    ("POST", "/v1/checkout/sessions/{id}", _update),
    ("POST", "/v1/checkout/sessions/{id}/expire", _expire),
    ("GET", "/v1/checkout/sessions/{id}/line_items", _line_items),
)
