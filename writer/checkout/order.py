"""What an app orders for a user, and how Stripe is told: one session's parameters. Pure."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

from common.identifiers import UserId
from writer.auth import KeyHolder
from writer.checkout import return_urls
from writer.checkout.price_check import SoldPrice

_LONGEST_REFERENCE: Final = 200
"""Stripe's limit for client_reference_id; metadata takes a user id of any length."""


_QUANTITY: Final = "line_items[0][quantity]"


@dataclass(frozen=True, slots=True)
class Order:
    """A checkout that an app asks for. URLs are checked already."""

    holder: KeyHolder
    user: UserId
    price_id: str
    quantity: int
    success_url: str
    cancel_url: str
    email: str | None = None
    trial_days: int | None = None
    allow_promotion_codes: bool = False
    idempotency_key: str | None = None

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of everything that was asked for, without the idempotency key."""
        meaning = [
            self.holder.project,
            self.user,
            self.price_id,
            self.quantity,
            self.success_url,
            self.cancel_url,
            self.email,
            self.trial_days,
            self.allow_promotion_codes,
        ]
        return hashlib.sha256(orjson.dumps(meaning)).digest()


def session_parameters(order: Order, price: SoldPrice, customer: str) -> dict[str, Any]:
    """The parameters of the checkout session, with the owner on everything that comes out of it."""
    owner = {"user_id": order.user, "project_id": order.holder.project}
    parameters: dict[str, Any] = {
        "mode": "subscription" if price.recurring else "payment",
        "customer": customer,
        "line_items": [{"price": order.price_id, "quantity": order.quantity}],
        "success_url": return_urls.with_session_id(order.success_url),
        "cancel_url": order.cancel_url,
        "metadata": {**owner, "price_id": price.id, "product_id": price.product_id},
    }
    if len(order.user) <= _LONGEST_REFERENCE:
        parameters["client_reference_id"] = order.user
    if order.allow_promotion_codes:
        parameters["allow_promotion_codes"] = True
    if price.recurring:
        trial = {} if order.trial_days is None else {"trial_period_days": order.trial_days}
        parameters["subscription_data"] = {"metadata": owner, **trial}
    else:
        parameters["payment_intent_data"] = {"metadata": owner}
    return parameters


def refuses_quantity(param: str | None, message: str) -> bool:
    """Whether Stripe refuses a checkout because its price is metered. It has no code of its own for that."""
    return param == _QUANTITY or "usage_type is `metered`" in message


def without_quantity(parameters: dict[str, Any]) -> dict[str, Any]:
    """The same for a metered price."""
    lines = [{name: value for name, value in line.items() if name != "quantity"} for line in parameters["line_items"]]
    return {**parameters, "line_items": lines}


def stripe_key(order: Order, parameters: dict[str, Any], attempt: int) -> str:
    """The idempotency key under which Stripe opens the session: equal for equal clicks, new after each end."""
    parts = [order.fingerprint.hex(), order.idempotency_key, attempt, parameters]
    return f"checkout-{hashlib.sha256(orjson.dumps(parts)).hexdigest()}"
