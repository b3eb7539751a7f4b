"""Subscriptions over the API: create, change, cancel, resume, list; and their items."""

from typing import Final

from sandbox.stripe import invoicing
from sandbox.stripe.amounts import is_metered
from sandbox.stripe.catalog import new_price
from sandbox.stripe.discounts import chosen_coupons, new_discount
from sandbox.stripe.errors import declined, invalid, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page, within
from sandbox.stripe.params import Params
from sandbox.stripe.payment_methods import Outcome, attached, default_method, outcome_for
from sandbox.stripe.proration import BEHAVIOURS, apply_items
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject, copied
from sandbox.stripe.subscribed_items import Ordered, items_of, set_cancel_at_period_end, show_items
from sandbox.stripe.subscription_start import BILLING_MODES, Order, begin
from sandbox.stripe.subscription_state import ENDED, cancel_now, collect, end_trial, resume

SECONDS_A_DAY: Final = 86400
BEHAVIOURS_OF_PAYMENT: Final = (
    "allow_incomplete",
    "default_incomplete",
    "error_if_incomplete",
    "pending_if_incomplete",
)
PAUSES: Final = ("keep_as_draft", "mark_uncollectible", "void")


def ordered(ledger: Ledger, params: Params) -> Ordered:
    """One entry of `items[]` or `line_items[]`: a price, or `price_data` for a new one, and its quantity."""
    if params.given("price"):
        price = ledger.store.get("price", params.need("price"), params.named("price"))
        if not price["active"]:
            message = f"The price specified is inactive. This field only accepts active prices: {price['id']}"
            raise invalid(message, params.named("price"))
    elif params.given("price_data"):
        price = new_price(ledger, params.hash("price_data"))
    else:
        raise required(params.named("price"))
    if is_metered(price):
        if "quantity" in params:
            message = (
                f"Quantity should not be specified where usage_type is `metered`. Remove quantity from `{params.path}`"
            )
            raise invalid(message, params.named("quantity"))
        return Ordered(copied(price), None, params.metadata())
    quantity = params.integer("quantity", 1, minimum=0)
    return Ordered(copied(price), 1 if quantity is None else quantity, params.metadata())


def trial_end_of(ledger: Ledger, params: Params) -> int | None:
    """The end that `trial_end` or `trial_period_days` asks for."""
    days = params.integer("trial_period_days", minimum=1)
    if days is not None:
        return ledger.clock.now() + days * SECONDS_A_DAY
    return None if params.text("trial_end") == "now" else params.integer("trial_end")


def _create(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    customer = ledger.store.get("customer", params.need("customer"), "customer")
    with ledger.on_clock_of(customer["id"]):
        return _begun(ledger, customer, params)


def _begun(ledger: Ledger, customer: JsonObject, params: Params) -> JsonObject:
    wanted = [ordered(ledger, entry) for entry in params.hashes("items")]
    if not wanted:
        raise required("items")
    for one in wanted:
        if one.price["recurring"] is None:
            raise invalid("The price specified is set to `type=one_time`.", "items[0][price]")
    behaviour = params.choice("payment_behavior", BEHAVIOURS_OF_PAYMENT, "allow_incomplete")
    method = params.text("default_payment_method")
    if method:
        method = attached(ledger, method, customer["id"])["id"]
    used = method or default_method(ledger, customer["id"])
    if behaviour == "error_if_incomplete" and outcome_for(ledger, customer["id"], used) is Outcome.FAIL:
        raise declined()
    end_behaviour = params.hash("trial_settings").hash("end_behavior")
    subscription, invoice = begin(
        ledger,
        Order(
            customer["id"],
            wanted,
            metadata=params.metadata(),
            trial_end=trial_end_of(ledger, params),
            anchor=params.integer("billing_cycle_anchor"),
            cancel_at=params.integer("cancel_at"),
            cancel_at_period_end=params.flag("cancel_at_period_end"),
            by_invoice=params.text("collection_method") == "send_invoice",
            days_until_due=params.integer("days_until_due"),
            method=method,
            description=params.text("description"),
            coupons=chosen_coupons(ledger, params),
            missing_payment_method=end_behaviour.text("missing_payment_method") or "create_invoice",
            billing_mode=params.hash("billing_mode").choice("type", tuple(BILLING_MODES)) or "flexible",
        ),
    )
    ledger.emit("customer.subscription.created", subscription)
    first_payment(ledger, subscription, invoice, attempted=behaviour != "default_incomplete")
    return subscription


def first_payment(
    ledger: Ledger,
    subscription: JsonObject,
    invoice: JsonObject,
    *,
    attempted: bool = True,
    outcome: Outcome | None = None,
) -> Outcome:
    """Collect the first invoice of a subscription that was announced."""
    if invoice["status"] == "paid":
        if subscription["status"] == "incomplete":
            with ledger.changing(subscription, "customer.subscription.updated"):
                subscription["status"] = "active"
        return Outcome.SUCCEED
    if subscription["collection_method"] == "send_invoice" or not attempted:
        return Outcome.SUCCEED
    return collect(ledger, subscription, invoice, outcome)


def _update(ledger: Ledger, call: Call) -> JsonObject:
    subscription, params = ledger.store.get("subscription", call.id), call.params
    if subscription["status"] in ENDED and set(params.values) - {"metadata", "cancellation_details"}:
        message = "A canceled subscription can only update its cancellation_details and metadata."
        raise invalid(message)
    behaviour = params.choice("proration_behavior", BEHAVIOURS, "create_prorations") or "create_prorations"
    with ledger.on_clock_of(subscription["customer"]):
        with ledger.changing(subscription, "customer.subscription.updated"):
            _change_fields(ledger, subscription, params)
        items = list(params.hashes("items"))
        if items:
            pending = params.choice("payment_behavior", BEHAVIOURS_OF_PAYMENT) == "pending_if_incomplete"
            apply_items(ledger, subscription, items, behaviour, pending=pending)
        if params.text("trial_end") == "now" and subscription["status"] == "trialing":
            _end_trial_now(ledger, subscription)
    return subscription


def _change_fields(ledger: Ledger, subscription: JsonObject, params: Params) -> None:
    subscription["metadata"] = params.metadata(subscription["metadata"])
    if "description" in params:
        subscription["description"] = params.text("description")
    if params.given("default_payment_method"):
        method = attached(ledger, params.need("default_payment_method"), subscription["customer"])
        subscription["default_payment_method"] = method["id"]
    if "discounts" in params:
        owner = subscription["customer"]
        subscription["discounts"] = [
            new_discount(ledger, coupon, code, owner, subscription=subscription["id"])["id"]
            for coupon, code in chosen_coupons(ledger, params)
        ]
    _change_end(ledger, subscription, params)
    if "pause_collection" in params:
        pause = params.hash("pause_collection")
        behaviour = pause.choice("behavior", PAUSES)
        resumes = pause.integer("resumes_at")
        subscription["pause_collection"] = behaviour and {"behavior": behaviour, "resumes_at": resumes}
    end = trial_end_of(ledger, params)
    if end is not None:
        subscription |= {"trial_end": end, "status": "trialing", "billing_cycle_anchor": end}
        subscription["trial_start"] = subscription["trial_start"] or ledger.clock.now()
        for item in items_of(ledger, subscription):
            item["current_period_end"] = end
        show_items(ledger, subscription)


def _change_end(ledger: Ledger, subscription: JsonObject, params: Params) -> None:
    if "cancel_at_period_end" in params:
        set_cancel_at_period_end(ledger, subscription, wanted=params.flag("cancel_at_period_end"))
    if "cancel_at" in params:
        ends = [item["current_period_end"] for item in items_of(ledger, subscription)]
        named = {"min_period_end": min(ends), "max_period_end": max(ends)}
        moment = named.get(params.text("cancel_at") or "") or params.integer("cancel_at")
        subscription |= {"cancel_at": moment, "cancel_at_period_end": False}
        subscription["canceled_at"] = ledger.clock.now() if moment else None
        subscription["cancellation_details"]["reason"] = "cancellation_requested" if moment else None
    details = params.hash("cancellation_details")
    for name in ("comment", "feedback"):
        if name in details:
            subscription["cancellation_details"][name] = details.text(name)


def _end_trial_now(ledger: Ledger, subscription: JsonObject) -> None:
    now = ledger.clock.now()
    subscription |= {"trial_end": now, "billing_cycle_anchor": now}
    for item in items_of(ledger, subscription):
        item["current_period_end"] = now
    end_trial(ledger, subscription)


def _cancel(ledger: Ledger, call: Call) -> JsonObject:
    subscription = ledger.store.get("subscription", call.id)
    if subscription["status"] in ENDED:
        raise invalid(f"No such subscription: {call.id}", "id", "resource_missing")
    with ledger.on_clock_of(subscription["customer"]):
        details = call.params.hash("cancellation_details")
        for name in ("comment", "feedback"):
            subscription["cancellation_details"][name] = details.text(name)
        invoice = ledger.store.find("invoice", subscription["latest_invoice"])
        if subscription["status"] == "incomplete" and invoice and invoice["status"] == "open":
            invoicing.close(ledger, invoice, "void")
        cancel_now(ledger, subscription, reason="cancellation_requested")
    return subscription


def _resume(ledger: Ledger, call: Call) -> JsonObject:
    subscription = ledger.store.get("subscription", call.id)
    if subscription["status"] != "paused":
        raise invalid("You cannot resume a subscription that is not paused.")
    with ledger.on_clock_of(subscription["customer"]):
        resume(ledger, subscription)
    return subscription


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("subscription", call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    names = ("customer", "collection_method", "test_clock")
    found = matching(ledger.store.all("subscription"), params, *names)
    status = params.text("status")
    if status is None:
        found = [one for one in found if one["status"] not in ENDED]
    elif status == "ended":
        found = [one for one in found if one["status"] in ENDED]
    elif status != "all":
        found = [one for one in found if one["status"] == status]
    price = params.text("price")
    if price is not None:
        found = [one for one in found if any(item["price"]["id"] == price for item in items_of(ledger, one))]
    for name in ("current_period_end", "current_period_start"):
        if params.given(name):
            inside = {
                item["subscription"] for item in within(list(ledger.store.all("subscription_item")), params, name)
            }
            found = [one for one in found if one["id"] in inside]
    return page(found, params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/subscriptions", _create),
    ("GET", "/v1/subscriptions", _list),
    ("GET", "/v1/subscriptions/{id}", _retrieve),
    ("POST", "/v1/subscriptions/{id}", _update),
    ("DELETE", "/v1/subscriptions/{id}", _cancel),
    ("POST", "/v1/subscriptions/{id}/resume", _resume),
)
