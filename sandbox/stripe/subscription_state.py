"""The life of a subscription: paid or not, renewed, cancelled, paused, resumed; each step announced."""

from typing import Final

from sandbox.stripe import invoicing, pending_updates
from sandbox.stripe.discounts import lasting
from sandbox.stripe.invoice_drafts import Line, new_invoice
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.payment_methods import Outcome, default_method
from sandbox.stripe.periods import end_after
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscribed_items import items_of, period_line, show_items

ENDED: Final = frozenset({"canceled", "incomplete_expired"})


def collect(ledger: Ledger, subscription: JsonObject, invoice: JsonObject, outcome: Outcome | None = None) -> Outcome:
    """Try to take the money of an open invoice and move the subscription accordingly."""
    result = invoicing.charge_invoice(ledger, invoice, outcome=outcome)
    if result is Outcome.ASYNC:
        _become(ledger, subscription, "active")
    else:
        after_payment(ledger, subscription, invoice, paid=result is not Outcome.FAIL)
    return result


def after_payment(ledger: Ledger, subscription: JsonObject, invoice: JsonObject, *, paid: bool) -> None:
    """What a settled or failed invoice means for its subscription."""
    status = subscription["status"]
    if status in ENDED:
        return
    if pending_updates.awaits(ledger, subscription, invoice):
        if paid:
            pending_updates.apply(ledger, subscription)
        return
    if paid:
        if status in ("incomplete", "past_due", "unpaid") and subscription["latest_invoice"] == invoice["id"]:
            _become(ledger, subscription, "active")
        elif status == "paused":
            resume(ledger, subscription)
        return
    if status == "incomplete" or invoice["status"] == "paid":
        return
    if invoice["next_payment_attempt"] is not None:
        _become(ledger, subscription, "past_due")
    elif ledger.settings.dunning_end == "canceled":
        cancel_now(ledger, subscription, reason="payment_failed")
    else:
        _become(ledger, subscription, ledger.settings.dunning_end)


def after_giving_up(ledger: Ledger, subscription: JsonObject, invoice: JsonObject) -> None:
    """What a voided or written-off invoice means: with the latest one gone, nothing is late any more."""
    if subscription["status"] == "past_due" and subscription["latest_invoice"] == invoice["id"]:
        _become(ledger, subscription, "active")


def become_overdue(ledger: Ledger, subscription: JsonObject, invoice: JsonObject) -> None:
    """An invoice that was sent passed its due date."""
    ledger.store.note("overdue")[invoice["id"]] = True
    ledger.emit("invoice.overdue", invoice)
    if subscription["status"] == "active":
        _become(ledger, subscription, "past_due")


def _become(ledger: Ledger, subscription: JsonObject, status: str) -> None:
    with ledger.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = status


def cancel_now(ledger: Ledger, subscription: JsonObject, *, reason: str) -> None:
    """End it at this moment."""
    now = ledger.clock.now()
    subscription["cancellation_details"]["reason"] = subscription["cancellation_details"]["reason"] or reason
    subscription |= {"status": "canceled", "ended_at": now, "canceled_at": subscription["canceled_at"] or now}
    ledger.store.put(subscription)
    ledger.emit("customer.subscription.deleted", subscription)


def expire_incomplete(ledger: Ledger, subscription: JsonObject) -> None:
    """The first payment never came: void its invoice."""
    invoice = ledger.store.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoicing.close(ledger, invoice, "void")
    subscription["ended_at"] = ledger.clock.now()
    _become(ledger, subscription, "incomplete_expired")


def renew(ledger: Ledger, subscription: JsonObject) -> None:
    """Begin the next period of every item whose period is over, and bill it."""
    now = ledger.clock.now()
    due = [item for item in items_of(ledger, subscription) if item["current_period_end"] <= now]
    with ledger.changing(subscription, "customer.subscription.updated"):
        period = (min(item["current_period_start"] for item in due), max(i["current_period_end"] for i in due))
        for item in due:
            item["current_period_start"] = item["current_period_end"]
            recurring = item["price"]["recurring"]
            item["current_period_end"] = end_after(
                subscription["billing_cycle_anchor"], recurring, item["current_period_start"]
            )
        show_items(ledger, subscription)
        if subscription["status"] == "trialing":
            subscription["status"] = "active"
        invoice = bill(ledger, subscription, [period_line(ledger, item) for item in due], "subscription_cycle")
        invoice["period_start"], invoice["period_end"] = period
    if invoice["automatically_finalizes_at"] is not None and invoice["automatically_finalizes_at"] <= now:
        finalize_and_collect(ledger, invoice)


def bill(ledger: Ledger, subscription: JsonObject, lines: list[Line], reason: str) -> JsonObject:
    """A draft of `lines` and the prorations that wait."""
    waiting = ledger.store.note("pending_lines").pop(subscription["id"], [])
    lines = [*(Line(**line) for line in waiting), *lines]
    invoice = new_invoice(ledger, subscription["customer"], lines, reason, subscription)
    subscription["latest_invoice"] = invoice["id"]
    subscription["discounts"] = lasting(ledger, subscription["discounts"])
    if (
        subscription["status"] == "unpaid"
        or (subscription["pause_collection"] or {}).get("behavior") == "keep_as_draft"
    ):
        invoice |= {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
    return invoice


def finalize_and_collect(ledger: Ledger, invoice: JsonObject) -> None:
    """Finalise a draft and, unless the customer pays by invoice or collection is paused, charge it."""
    subscription = ledger.store.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    invoicing.finalize(ledger, invoice)
    paused = (subscription["pause_collection"] or {}).get("behavior")
    if invoice["status"] == "open" and paused in ("void", "mark_uncollectible"):
        invoicing.close(ledger, invoice, "void" if paused == "void" else "uncollectible")
    elif invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically":
        collect(ledger, subscription, invoice)


def end_trial(ledger: Ledger, subscription: JsonObject) -> None:
    """The trial is over: bill, or, with nothing to charge, do as `trial_settings` says."""
    behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    missing = default_method(ledger, subscription["customer"], subscription) is None
    if missing and behaviour == "cancel":
        cancel_now(ledger, subscription, reason="cancellation_requested")
    elif missing and behaviour == "pause":
        _become(ledger, subscription, "paused")
        ledger.emit("customer.subscription.paused", subscription)
    else:
        renew(ledger, subscription)


def resume(ledger: Ledger, subscription: JsonObject) -> None:
    """From `paused` to `active`, with a period that begins now."""
    now = ledger.clock.now()
    with ledger.changing(subscription, "customer.subscription.updated"):
        subscription |= {"status": "active", "billing_cycle_anchor": now, "trial_end": subscription["trial_end"]}
        for item in items_of(ledger, subscription):
            item |= {
                "current_period_start": now,
                "current_period_end": end_after(now, item["price"]["recurring"], now),
            }
        show_items(ledger, subscription)
        invoice = bill(
            ledger,
            subscription,
            [period_line(ledger, i) for i in items_of(ledger, subscription)],
            "subscription_update",
        )
    ledger.emit("customer.subscription.resumed", subscription)
    finalize_and_collect(ledger, invoice)
