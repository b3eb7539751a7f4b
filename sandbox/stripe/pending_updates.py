"""Changes of a subscription that wait for their payment and lapse without it: `pending_if_incomplete`."""

from typing import Final

from sandbox.stripe import invoicing
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.shapes import JsonObject, copied
from sandbox.stripe.subscribed_items import items_of, show_items

LASTS: Final = 23 * 3600
_TOPIC: Final = "pending_updates"


def keep(ledger: Ledger, subscription: JsonObject, before: list[JsonObject], invoice: JsonObject) -> None:
    """Put the items back as they were `before`, and keep what they became until `invoice` is paid."""
    wanted = copied({"items": items_of(ledger, subscription)})["items"]
    _replace(ledger, subscription, before)
    ledger.store.note(_TOPIC)[subscription["id"]] = {"invoice": invoice["id"], "items": wanted}
    subscription["pending_update"] = {
        "billing_cycle_anchor": None,
        "expires_at": ledger.clock.now() + LASTS,
        "subscription_items": wanted,
        "trial_end": None,
        "trial_from_plan": None,
    }


def awaits(ledger: Ledger, subscription: JsonObject, invoice: JsonObject) -> bool:
    """Whether a change waits for this invoice."""
    kept = ledger.store.note(_TOPIC).get(subscription["id"])
    return bool(kept and kept["invoice"] == invoice["id"])


def apply(ledger: Ledger, subscription: JsonObject) -> None:
    """It was paid: the change comes true."""
    kept = ledger.store.note(_TOPIC).pop(subscription["id"])
    with ledger.changing(subscription, "customer.subscription.updated"):
        _replace(ledger, subscription, kept["items"])
        subscription["pending_update"] = None
    ledger.emit("customer.subscription.pending_update_applied", subscription)


def lapse(ledger: Ledger, subscription: JsonObject) -> None:
    """Nobody paid in time: the change and its invoice are void."""
    kept = ledger.store.note(_TOPIC).pop(subscription["id"])
    invoice = ledger.store.get("invoice", kept["invoice"])
    if invoice["status"] == "open":
        invoicing.close(ledger, invoice, "void")
    with ledger.changing(subscription, "customer.subscription.updated"):
        subscription["pending_update"] = None
    ledger.emit("customer.subscription.pending_update_expired", subscription)


def _replace(ledger: Ledger, subscription: JsonObject, items: list[JsonObject]) -> None:
    held = items_of(ledger, subscription)
    for one in held:
        ledger.store.remove("subscription_item", one["id"])
    held[:] = [copied(one) for one in items]
    show_items(ledger, subscription)
