"""Changing what is subscribed to: items added, changed, removed, and the unused time credited."""

from dataclasses import asdict
from typing import Final

from sandbox.stripe import invoicing, pending_updates
from sandbox.stripe.amounts import is_metered
from sandbox.stripe.errors import invalid
from sandbox.stripe.invoice_drafts import Line
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.params import Params
from sandbox.stripe.payment_methods import Outcome, default_method, outcome_for
from sandbox.stripe.periods import end_after, share_left
from sandbox.stripe.shapes import JsonObject, copied
from sandbox.stripe.subscribed_items import Ordered, amount_of, items_of, new_item, show_items
from sandbox.stripe.subscription_state import bill, finalize_and_collect

BEHAVIOURS: Final = ("create_prorations", "always_invoice", "none")


def change_items(ledger: Ledger, subscription: JsonObject, wanted: list[Params]) -> list[Line]:
    """Apply `items[]` to the subscription's items; answers the proration lines that it makes.

    A change of interval begins a new period now, as Stripe does.
    """
    lines: list[Line] = []
    items = items_of(ledger, subscription)
    _refuse_emptying(items, wanted)
    for params in wanted:
        before = None
        if params.given("id"):
            before = _item(items, params)
            lines += _credit(ledger, subscription, copied(before))
        if before is not None and params.flag("deleted"):
            items.remove(before)
            ledger.store.remove("subscription_item", before["id"])
            continue
        item = before or _added(ledger, subscription, params)
        if before is None:
            items.append(item)
        else:
            _changed(ledger, subscription, item, params)
        lines += _debit(ledger, subscription, item)
    show_items(ledger, subscription)
    return lines


def _refuse_emptying(items: list[JsonObject], wanted: list[Params]) -> None:
    """A refused change must change nothing: this is looked at before the first item goes."""
    gone = {params.need("id") for params in wanted if params.given("id") and params.flag("deleted")}
    if all(params.given("id") for params in wanted) and all(item["id"] in gone for item in items):
        raise invalid("A subscription must have at least one active plan.", "items")


def settle_prorations(ledger: Ledger, subscription: JsonObject, lines: list[Line], behaviour: str) -> JsonObject | None:
    """Keep `lines` for the next invoice, or, for `always_invoice`, make one of them; nothing for `none`."""
    if behaviour == "none" or not lines:
        return None
    if behaviour == "always_invoice":
        return bill(ledger, subscription, lines, "subscription_update")
    waiting = ledger.store.note("pending_lines").setdefault(subscription["id"], [])
    waiting += [asdict(line) for line in lines]
    return None


def apply_items(
    ledger: Ledger, subscription: JsonObject, wanted: list[Params], behaviour: str, *, pending: bool = False
) -> None:
    """Change items, announce it, and bill where the change is billed at once.

    `pending`: what is billed at once and not paid does not change anything until it is.
    """
    before: list[JsonObject] = copied({"items": items_of(ledger, subscription)})["items"]
    anchor = subscription["billing_cycle_anchor"]
    with ledger.changing(subscription, "customer.subscription.updated"):
        lines = change_items(ledger, subscription, wanted)
        restarted = subscription["billing_cycle_anchor"] != anchor
        invoice = settle_prorations(ledger, subscription, lines, "always_invoice" if restarted else behaviour)
        if pending and invoice is not None and _fails(ledger, subscription):
            pending_updates.keep(ledger, subscription, before, invoice)
    if invoice is not None and subscription["pending_update"] is not None:
        invoicing.finalize(ledger, invoice)
        invoicing.charge_invoice(ledger, invoice)
        invoice["next_payment_attempt"] = None
    elif invoice is not None:
        finalize_and_collect(ledger, invoice)


def _fails(ledger: Ledger, subscription: JsonObject) -> bool:
    method = default_method(ledger, subscription["customer"], subscription)
    return outcome_for(ledger, subscription["customer"], method) is Outcome.FAIL


def _item(items: list[JsonObject], params: Params) -> JsonObject:
    for item in items:
        if item["id"] == params.need("id"):
            return item
    raise invalid(f"No such subscription item: '{params.need('id')}'", params.named("id"), "resource_missing")


def _added(ledger: Ledger, subscription: JsonObject, params: Params) -> JsonObject:
    price = _price(ledger, params)
    quantity = params.integer("quantity", 1, minimum=0)
    counted = None if is_metered(price) else 1 if quantity is None else quantity
    one = Ordered(price, counted, params.metadata())
    trial = subscription["trial_end"] if subscription["status"] == "trialing" else None
    now = ledger.clock.now()
    return new_item(ledger, subscription["id"], one, now, trial, subscription["billing_cycle_anchor"])


def _price(ledger: Ledger, params: Params) -> JsonObject:
    price = ledger.store.get("price", params.need("price"), params.named("price"))
    if price["recurring"] is None:
        message = (
            f"The price specified is set to `type=one_time` but this field only accepts recurring prices: {price['id']}"
        )
        raise invalid(message, params.named("price"))
    return copied(price)


def _changed(ledger: Ledger, subscription: JsonObject, item: JsonObject, params: Params) -> None:
    item["metadata"] = params.metadata(item["metadata"])
    if not is_metered(item["price"]):
        item["quantity"] = params.integer("quantity", item.get("quantity", 1), minimum=0)
    if not params.given("price"):
        return
    price, old = _price(ledger, params), item["price"]["recurring"]
    item["price"] = price
    new = price["recurring"]
    if (old["interval"], old["interval_count"]) == (new["interval"], new["interval_count"]):
        return
    if subscription["status"] != "trialing":
        now = ledger.clock.now()
        subscription["billing_cycle_anchor"] = now
        item |= {"current_period_start": now, "current_period_end": end_after(now, new, now)}


def _credit(ledger: Ledger, subscription: JsonObject, item: JsonObject) -> list[Line]:
    return _prorated(ledger, subscription, item, -1)


def _debit(ledger: Ledger, subscription: JsonObject, item: JsonObject) -> list[Line]:
    return _prorated(ledger, subscription, item, 1)


def _prorated(ledger: Ledger, subscription: JsonObject, item: JsonObject, sign: int) -> list[Line]:
    if subscription["status"] not in ("active", "past_due"):
        return []
    now, start, end = ledger.clock.now(), item["current_period_start"], item["current_period_end"]
    amount = round(amount_of(ledger, item) * share_left(start, end, now))
    return [Line(item["price"], item.get("quantity"), sign * amount, now, end, item["id"], proration=True)]
