"""The billing portal: configurations, sessions, and what a customer may do to a subscription there."""

from enum import StrEnum
from typing import Final

from sandbox.stripe.errors import invalid
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscribed_items import items_of, set_cancel_at_period_end
from sandbox.stripe.subscription_state import ENDED, cancel_now

KIND: Final = "billing_portal.configuration"
MODES: Final = ("at_period_end", "immediately")
REASONS: Final = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)


class Choice(StrEnum):
    """A button of the portal."""

    CANCEL_AT_PERIOD_END = "cancel_at_period_end"
    CANCEL_NOW = "cancel_now"
    RESUME = "resume"


def choose(ledger: Ledger, session: JsonObject, subscription_id: str, choice: Choice) -> None:
    """Do what the customer pressed.

    Raises:
        StripeError: the subscription is not this customer's, or has ended.
    """
    subscription = ledger.store.get("subscription", subscription_id)
    if subscription["customer"] != session["customer"] or subscription["status"] in ENDED:
        raise invalid("This subscription cannot be changed here.")
    with ledger.on_clock_of(subscription["customer"]):
        if choice is Choice.CANCEL_NOW:
            cancel_now(ledger, subscription, reason="cancellation_requested")
            return
        with ledger.changing(subscription, "customer.subscription.updated"):
            if choice is Choice.CANCEL_AT_PERIOD_END and ledger.settings.portal_cancels_by == "cancel_at":
                end = min(item["current_period_end"] for item in items_of(ledger, subscription))
                subscription |= {"cancel_at": end, "canceled_at": ledger.clock.now()}
                subscription["cancellation_details"]["reason"] = "cancellation_requested"
            else:
                wanted = choice is Choice.CANCEL_AT_PERIOD_END
                set_cancel_at_period_end(ledger, subscription, wanted=wanted)


def cancel_mode(ledger: Ledger, session: JsonObject) -> str | None:
    """How the session's configuration lets a customer cancel; None for not at all."""
    cancel = ledger.store.get(KIND, session["configuration"])["features"]["subscription_cancel"]
    mode: str | None = cancel["mode"] if cancel["enabled"] else None
    return mode


def _configuration(ledger: Ledger, params: Params, *, is_default: bool = False) -> JsonObject:
    made = ledger.new(
        KIND,
        "bpc",
        active=True,
        application=None,
        business_profile={"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        default_return_url=params.text("default_return_url"),
        features=_features(params.hash("features")),
        is_default=is_default,
        login_page={"enabled": False, "url": None},
        metadata=params.metadata(),
        name=params.text("name"),
        updated=ledger.clock.now(),
    )
    ledger.emit("billing_portal.configuration.created", made)
    return made


def _features(params: Params) -> JsonObject:
    cancel, update = params.hash("subscription_cancel"), params.hash("subscription_update")
    customer = params.hash("customer_update")
    return {
        "customer_update": {
            "allowed_updates": customer.texts("allowed_updates"),
            "enabled": customer.flag("enabled"),
        },
        "invoice_history": {"enabled": params.hash("invoice_history").flag("enabled", default=True)},
        "payment_method_update": {"enabled": params.hash("payment_method_update").flag("enabled", default=True)},
        "subscription_cancel": {
            "cancellation_reason": {"enabled": False, "options": list(REASONS)},
            "enabled": cancel.flag("enabled", default=True),
            "mode": cancel.choice("mode", MODES, "at_period_end"),
            "proration_behavior": "none",
        },
        "subscription_update": {
            "billing_cycle_anchor": "unchanged",
            "default_allowed_updates": update.texts("default_allowed_updates"),
            "enabled": update.flag("enabled"),
            "products": None,
            "proration_behavior": "none",
            "schedule_at_period_end": {"conditions": []},
            "trial_update_behavior": "end_trial",
        },
    }


def _default(ledger: Ledger) -> JsonObject:
    found = ledger.store.where(KIND, is_default=True)
    return found[0] if found else _configuration(ledger, Params({}), is_default=True)


def _create_session(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    customer = ledger.store.get("customer", params.need("customer"), "customer")
    named = params.text("configuration")
    configuration = ledger.store.get(KIND, named, "configuration") if named else _default(ledger)
    if not configuration["active"]:
        raise invalid(f"The configuration {configuration['id']} is inactive.", "configuration")
    session_id = ledger.store.new_id("bps")
    session = ledger.new(
        "billing_portal.session",
        "bps",
        id=session_id,
        configuration=configuration["id"],
        customer=customer["id"],
        customer_account=None,
        flow=None,
        locale=params.text("locale"),
        on_behalf_of=None,
        return_url=params.text("return_url") or configuration["default_return_url"],
        url=f"{ledger.base_url}/p/session/{session_id}",
    )
    ledger.emit("billing_portal.session.created", session)
    return session


def _create(ledger: Ledger, call: Call) -> JsonObject:
    _default(ledger)
    return _configuration(ledger, call.params)


def _update(ledger: Ledger, call: Call) -> JsonObject:
    item, params = ledger.store.get(KIND, call.id), call.params
    with ledger.changing(item, "billing_portal.configuration.updated"):
        if "features" in params:
            changed = _features(params.hash("features"))
            item["features"] |= {name: changed[name] for name in params.hash("features").values}
        if "active" in params:
            item["active"] = params.flag("active")
        for name in ("default_return_url", "name"):
            if name in params:
                item[name] = params.text(name)
        item |= {"metadata": params.metadata(item["metadata"]), "updated": ledger.clock.now()}
    return item


def _retrieve(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get(KIND, call.id)


def _list(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all(KIND), call.params, "active", "is_default"), call.params, call.path)


ROUTES: Routes = (
    ("POST", "/v1/billing_portal/sessions", _create_session),
    ("POST", "/v1/billing_portal/configurations", _create),
    ("GET", "/v1/billing_portal/configurations", _list),
    ("GET", "/v1/billing_portal/configurations/{id}", _retrieve),
    ("POST", "/v1/billing_portal/configurations/{id}", _update),
)
